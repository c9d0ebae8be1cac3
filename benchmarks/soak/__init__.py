"""One server at work for half an hour: does anything grow that should not, does anything differ?"""
