"""Tables: rows of mixed columns, encoded as the networks take them, and decoded as they came.

`schema` says what the columns are, `reading` and `finding` make one of a file, `encoding` turns a
frame into numbers and back, `rows` is the split that a run trains on.
"""
