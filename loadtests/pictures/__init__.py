"""The two pictures of the README, from what really ran.

    __main__.py   the command: `make pictures`
    page.py       the page at / after a chat that was retried, in Chromium
    overview.py   two workers, PostgreSQL, Prometheus and a few minutes of life: what the dashboard's queries say of it
    clients.py    who asks: more, fewer, more again; some leave
    weather.py    how Groq is meanwhile: well, away, and well with limits
    source.py     what panels ask, and Prometheus' answers
    drawing/      the dashboard's JSON and those answers, as one page of HTML: pure

It is Grafana's dashboard, and no Grafana: panels, places, titles, units, colours and queries come from its JSON.
"""
