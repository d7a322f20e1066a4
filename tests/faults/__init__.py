"""Faults done to a real lab: whatever is killed, cut, filled or damaged, the next `lab up` converges.

    make test-faults ARGS="--kills 5 --seed 123 --to 30-identity"
    make test-faults ARGS="--existing path/to/lab.yaml --kills 20"

draw.py      which fault, to what, when: drawn from a seed, pure
lab_run.py   a `lab` that runs, and what it tells of its progress
deeds.py     how each fault is done
used.py      what people do with a lab, by OpenStack's commands, and that their things stay
traces.py    what of a lab is on the host
story.py     one fault after the other
"""
