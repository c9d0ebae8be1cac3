"""Answers as people use them: as data frames, as pictures, in a notebook, in a file.

tabular     what every result can do: Arrow, pandas, Polars, files
result      the answer to a question, and its picture
dau, top_events, retention   one result each: its columns, its HTML, its chart
statement   what a statement of the analyst's own found
extras      packages that are needed for some of it only
markup      pieces of HTML
"""
