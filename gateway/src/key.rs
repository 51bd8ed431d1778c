//! API keys: the form of a token, and whether one is right. Pure.
