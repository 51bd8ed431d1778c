//! Learns y = 2x by stochastic gradient descent and writes the ONNX file itself.
