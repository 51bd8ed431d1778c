//! `--batching_parameters_file`: TensorFlow Serving's BatchingParameters.
//!
//! Pure. Called by `config/batching.rs`.
//! Source: tensorflow_serving/servables/tensorflow/session_bundle_config.proto, batching_session.cc (the rules between
//! the values).

use crate::config::text_proto::{Error, Field, parse};

/// The largest numbers that mean anything.
const MAX_BATCH_SIZE: i64 = 1024;
const MAX_DELAY_MICROS: i64 = 1_000_000;
const MAX_THREADS: i64 = 256;
const MAX_BATCHES: i64 = 1_000_000;
/// Sizes in `allowed_batch_sizes`.
const MAX_SIZES: usize = 64;

/// What the file says; what it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BatchingFile {
    pub(super) max_batch_size: Option<usize>,
    pub(super) batch_timeout_micros: Option<u64>,
    pub(super) num_batch_threads: Option<usize>,
    pub(super) max_enqueued_batches: Option<usize>,
    pub(super) allowed_batch_sizes: Vec<usize>,
}

/// Reads the file.
pub(super) fn read(text: &str) -> Result<BatchingFile, Error> {
    let mut file = BatchingFile::default();
    let fields = parse(text)?;
    let mut last = None;
    for field in &fields {
        match field.name.as_str() {
            "max_batch_size" => {
                file.max_batch_size = Some(wrapped(field, 1, MAX_BATCH_SIZE)?);
            }
            "batch_timeout_micros" => {
                file.batch_timeout_micros = Some(wrapped(field, 0, MAX_DELAY_MICROS)? as u64);
            }
            "num_batch_threads" => {
                file.num_batch_threads = Some(wrapped(field, 1, MAX_THREADS)?);
            }
            "max_enqueued_batches" => {
                file.max_enqueued_batches = Some(wrapped(field, 1, MAX_BATCHES)?);
            }
            "allowed_batch_sizes" => {
                let size = within(field, 1, MAX_BATCH_SIZE)?;
                let ascends = file
                    .allowed_batch_sizes
                    .last()
                    .is_none_or(|last| *last < size);
                if !ascends || file.allowed_batch_sizes.len() >= MAX_SIZES {
                    let rule = format!("at most {MAX_SIZES} numbers, each above the one before");
                    return Err(field.wrong(&rule));
                }
                file.allowed_batch_sizes.push(size);
                last = Some(field);
            }
            // A name for threads, and what is always done: neither changes an answer.
            "thread_pool_name" => {}
            "enable_large_batch_splitting" => {
                field.message()?;
            }
            "pad_variable_length_inputs" => {
                if field.boolean()? {
                    return Err(field.wrong("false: requests of different shapes run apart"));
                }
            }
            _ => {
                let known = "max_batch_size, batch_timeout_micros, num_batch_threads, max_enqueued_batches, \
                             allowed_batch_sizes";
                return Err(field.unknown("BatchingParameters", known));
            }
        }
    }
    match (last, file.max_batch_size) {
        (Some(last), Some(max)) if file.allowed_batch_sizes.last() != Some(&max) => {
            let rule = format!("numbers that end with max_batch_size ({max})");
            Err(last.wrong(&rule))
        }
        _ => Ok(file),
    }
}

/// `{ value: N }`, as protobuf's wrapper types are written.
fn wrapped(field: &Field, from: i64, to: i64) -> Result<usize, Error> {
    match field.message()? {
        [value] if value.name == "value" => within(value, from, to)
            .map_err(|error| Error::new(error.line, format!("{}'s {}", field.name, error.rule))),
        _ => Err(field.wrong("{ value: NUMBER }")),
    }
}

fn within(field: &Field, from: i64, to: i64) -> Result<usize, Error> {
    let number = field.integer()?;
    if !(from..=to).contains(&number) {
        return Err(field.wrong(&format!("between {from} and {to}")));
    }
    usize::try_from(number).map_err(|_beyond| field.wrong(&format!("between {from} and {to}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_tensorflow_servings_own_guide_is_understood() {
        let text = "\
max_batch_size { value: 128 }
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 1000000 }
num_batch_threads { value: 8 }
allowed_batch_sizes: [1, 64, 128]
";
        let expect = BatchingFile {
            max_batch_size: Some(128),
            batch_timeout_micros: Some(0),
            num_batch_threads: Some(8),
            max_enqueued_batches: Some(1_000_000),
            allowed_batch_sizes: vec![1, 64, 128],
        };
        assert_eq!(read(text), Ok(expect));
        assert_eq!(read(""), Ok(BatchingFile::default()));
        assert!(read("pad_variable_length_inputs: false\nthread_pool_name { value: 'x' }").is_ok());
    }

    #[track_caller]
    fn refused(text: &str, expect: &str) {
        assert_eq!(read(text).unwrap_err().to_string(), expect, "{text}");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_line() {
        refused(
            "max_batch_size: 8",
            "line 1: max_batch_size must be a message in braces",
        );
        refused(
            "\nmax_batch_size { value: 0 }",
            "line 2: max_batch_size's value must be between 1 and 1024",
        );
        refused(
            "allowed_batch_sizes: 4\nallowed_batch_sizes: 2",
            "line 2: allowed_batch_sizes must be at most 64 numbers, each above the one before",
        );
        refused(
            "max_batch_size { value: 8 }\nallowed_batch_sizes: [1, 4]",
            "line 2: allowed_batch_sizes must be numbers that end with max_batch_size (8)",
        );
        refused(
            "pad_variable_length_inputs: true",
            "line 1: pad_variable_length_inputs must be false: requests of different shapes run apart",
        );
        refused(
            "max_enqueued_batchs { value: 1 }",
            "line 1: fields of BatchingParameters must be among max_batch_size, batch_timeout_micros, \
             num_batch_threads, max_enqueued_batches, allowed_batch_sizes, is max_enqueued_batchs",
        );
    }
}
