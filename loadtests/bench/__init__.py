"""What the service costs, beside nginx, beside itself without signals, and beside the shape that everyone writes.

    __main__.py     the command: `make bench`
    plan.py         how long, how often
    machine.py      who runs on which core, and what a process costs
    stage.py        PostgreSQL, the upstream and a receiver of spans
    contenders.py   who is measured
    nginx.py, bare.py, plain.py   three of them: a proxy, the service without its signals and rows, the usual shape
    upstream.py     a Groq that is never what is measured; replies.py is what it says, frames.py the bytes
    clients.py      the clients; load.py is what they ask for, answer.py and seen.py what they get
    http1.py        how both ends read HTTP
    receiver.py     takes spans and scrapes metrics
    honesty.py      whether every chat had its row and its spans
    measure.py      one run
    sections/       what is measured: one file for each part of the report
    report.py       the table, the targets, and docs/performance.md

All contenders are measured in the same run, one after the other in rounds, each as one worker on a core of its own.
"""
