#!/usr/bin/env python3
"""Trains a 64-64-32-10 perceptron on scikit-learn's 1,797 hand-written digits (8x8) and writes digits_mlp.onnx.

usage: digits.py [OUT_DIR]        needs numpy, onnx and scikit-learn
input x f32[batch,64]: the pixels row by row, 0 (paper) to 1 (ink), which is scikit-learn's value / 16
output probabilities f32[batch,10]
"""
import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from graph import FLOAT, Graph

images, labels = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)
train_x, test_x, train_y, test_y = train_test_split(images, labels, test_size=0.25, random_state=0)
model = MLPClassifier((64, 32), max_iter=400, random_state=0).fit(train_x, train_y)
print(f"accuracy on {len(test_y)} unseen digits: {model.score(test_x, test_y):.4f}")

g = Graph()
value = "x"
for layer, (weight, bias) in enumerate(zip(model.coefs_, model.intercepts_)):
    value = g.op("Gemm", value, g.const(weight.astype(np.float32)), g.const(bias.astype(np.float32)))
    if layer < len(model.coefs_) - 1:
        value = g.op("Relu", value)
g.op("Softmax", value, out="probabilities", axis=1)
out = sys.argv[1] if len(sys.argv) > 1 else "."
g.save(f"{out}/digits_mlp.onnx", [("x", FLOAT, ["batch", 64])], [("probabilities", FLOAT, ["batch", 10])])
