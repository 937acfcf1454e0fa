"""Mutation testing: `make mutation-test` changes one expression at a time, and runs the tests that have to fail then.

mutants.py  the changes
targets.py  the mutated modules, and the tests that are responsible for them
run.py      runs these tests in a forked process
"""
