"""Questions about events and the engines that answer them: for the app and for notebooks.

A question (`analytics.questions`) is a frozen value with all its rules inside; an engine
(`analytics.engines`) runs SQL; an answer (`analytics.answer`) is rows in a stated order and the
facts about how they came about. Nothing here knows of HTTP, settings or environment variables:
everything is handed in as values.
"""
