//! The contract with callers: tensors, TensorFlow Serving and Open Inference Protocol codecs, the error table.
