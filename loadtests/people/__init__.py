"""People who ask, read and ask again, many at a time: locust against the service, judged by its objectives.

    __main__.py    the command: what is asked for, and what is started for it
    plan.py        how many users, for how long, in which shape, with which faults
    faults.py      what the simulated Groq does wrong, by name
    locustfile.py  what locust loads: one kind of user, the shape, options
    person.py      one user: asks, reads as it streams, leaves at times, thinks about it
    prompts.py     what is asked, and how long an answer is read
    answer.py      bytes of a stream in, facts out
    ending.py      how a chat ended, and on which side of the objective that counts
    shapes.py      how many users there are, when
    objectives.py  what is promised, as Prometheus' rules say it, and what came of it
    rows.py        locust's statistics: one row for each ending, one for each time
    watch.py       what is said while it runs, and at the end
    timeline.py    the run in steps, for the line that tells how far it is and for the plots
    table.py       how it is told on a terminal
    report.py      … and as a page: ours above locust's own
    plots.py       lines over time, as SVG
    honesty.py     how many users one locust process can drive before it measures itself

locust replaces Python's sockets in the process that imports it, so it has one of its own. Of these files `locustfile`,
`person`, `watch`, `rows`, `timeline`, `table` and `report` belong to that process; nobody else imports them.
"""
