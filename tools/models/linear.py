#!/usr/bin/env python3
"""Learns y = 2x from three points by plain stochastic gradient descent and writes linear.onnx (x [N,1] -> y [N,1]).

usage: linear.py [OUT_DIR]        needs numpy and onnx; the same bytes come out on every run
"""
import sys

import numpy as np

from graph import FLOAT, Graph

x = np.array([[1.0], [2.0], [3.0]])
y = np.array([[2.0], [4.0], [6.0]])
rate, epochs = 0.1, 1000

rng = np.random.default_rng(0)
w, b = float(rng.standard_normal()), 0.0
for epoch in range(epochs):
    for i in rng.permutation(len(x)):
        error = w * x[i, 0] + b - y[i, 0]  # loss = error² / 2
        w, b = w - rate * error * x[i, 0], b - rate * error
    if epoch % 250 == 249:
        print(f"epoch {epoch + 1}: loss {np.mean((w * x + b - y) ** 2) / 2:.3e}")
print(f"w = {w:.9f}, b = {b:.9f}, f(10) = {w * 10 + b:.6f}")
assert abs(w - 2) < 1e-6 and abs(b) < 1e-6, "did not converge"

g = Graph()
g.op("Gemm", "x", g.const(np.array([[w]], np.float32), "w"), g.const(np.array([b], np.float32), "b"), out="y")
out = sys.argv[1] if len(sys.argv) > 1 else "."
g.save(f"{out}/linear.onnx", [("x", FLOAT, ["N", 1])], [("y", FLOAT, ["N", 1])])
