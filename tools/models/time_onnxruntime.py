#!/usr/bin/env python3
"""Times onnxruntime, one thread, beside our own engines: `cargo xtask bench engines` asks, this answers.

Reads lines {"case": FILE of mk_cases.py, "seconds": S} from its input, writes one line {"median": SECONDS} or {"error": TEXT} for each.
A session is kept until another model is asked for.
"""
import json
import os
import statistics
import sys
import time

import numpy as np
import onnxruntime as ort

loaded = (None, None)


def session(model):
    global loaded
    if loaded[0] != model:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        loaded = (model, ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]))
    return loaded[1]


def measure(case, seconds):
    folder = os.path.dirname(case)
    with open(case) as file:
        spec = json.load(file)
    engine = session(os.path.join(folder, spec["model"]))
    feed = {t["name"]: np.fromfile(os.path.join(folder, t["file"]), t["dtype"]).reshape(t["shape"]) for t in spec["inputs"]}
    engine.run(None, feed)
    times, end = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        engine.run(None, feed)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


for line in sys.stdin:
    question = json.loads(line)
    try:
        answer = {"median": measure(question["case"], question["seconds"])}
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
