"""How vhdtools compares with what people use today, and with what is possible.

``python -m benchmarks --help`` tells the parts, README.md the method.
"""
