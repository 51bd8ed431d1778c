"""The client of the linear example, as TensorFlow Serving's users write it: `requests` and nothing else.

usage: plain.py http://HOST:PORT
"""
import sys

import requests

server = sys.argv[1]
body = {"signature_name": "serving_default", "instances": [[1.0], [2.0], [5.0]]}
answer = requests.post(f"{server}/v1/models/my_model:predict", json=body, timeout=20)
answer.raise_for_status()
predictions = answer.json()["predictions"]
for (asked,), (told,) in zip(body["instances"], predictions, strict=True):
    assert abs(told - 2 * asked) < 1e-4, (asked, told)

status = requests.get(f"{server}/v1/models/my_model", timeout=20).json()
assert status["model_version_status"][0]["state"] == "AVAILABLE", status

metadata = requests.get(f"{server}/v1/models/my_model/metadata", timeout=20).json()
signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT", signature

refused = requests.post(f"{server}/v1/models/my_model:predict", data=b"{", timeout=20)
assert refused.status_code == 400 and "JSON Parse error" in refused.json()["error"], refused.text
