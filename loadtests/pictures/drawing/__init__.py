"""A dashboard's JSON and a source of data, as one page of HTML. Nothing here waits, asks a network or a clock.

dashboard.py   the page: title, rows, and each panel in its place
field.py       what a panel's JSON says of one of its curves or columns: name, colour, unit
words.py       numbers with their units
colours.py     names of colours, palettes, and what comes from thresholds
axes.py        where values and times lie, and which of them are written beside
curves.py      `timeseries`: lines, or areas that are stacked
legend.py      … and what stands beneath or beside them
heatmap.py     `heatmap`
figures.py     `stat` and `bargauge`
table.py       `table`
"""
