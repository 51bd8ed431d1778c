//! Limits: rates by GCRA in integers, and requests in flight. Pure; time is an argument.
