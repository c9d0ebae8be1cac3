"""The same questions in plain, slow Python: loops over a list of events, one module a question.

Every engine is held against these. They share nothing with the engines but the questions and their
rows: no SQL, no day boundaries, no offsets.
"""
