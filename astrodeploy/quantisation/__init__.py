"""How float numbers become integers of the chip's formats: what the passes calibrate and quantise stand on.

layer.py       a population's equation with all factors folded
scales.py      Scale: the choice of a layer; the chip's limits and the worst case
grid.py        numbers that are the chip's already
balance.py     weights whose errors cancel in every neuron's sum, without data
rounding.py    a layer and its Scale -> integers, and what that changed
seen.py        what the float network did on calibration data
harm.py        how far rounded weights move the membranes, without running them
compensate.py  weights whose errors cancel in what the data bring
trial.py       one layer alone, on integers, fed as in the float network
choose.py      the Scale that calibration data speak for
training.py    the same rounding for weights in training
"""
