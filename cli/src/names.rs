//! The forms of names that Kubernetes and aimass allow, so that a wrong one is told before anything is sent. Pure.

/// A rule that a text keeps, or not.
type Rule = fn(&str) -> bool;

/// A name that has not its form; `Display` is the rule and the value seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be {rule}, is {text:?}")]
pub(crate) struct Invalid {
    rule: &'static str,
    text: String,
}

fn check(text: &str, rule: &'static str, keeps: Rule) -> Result<String, Invalid> {
    if keeps(text) {
        Ok(text.to_owned())
    } else {
        let text = text.chars().take(300).collect();
        Err(Invalid { rule, text })
    }
}

/// The name of an object: a DNS subdomain.
pub(crate) fn object(text: &str) -> Result<String, Invalid> {
    let rule = "a name: at most 253 of a-z, 0-9, '-' and '.'";
    check(text, rule, |text| {
        text.len() <= 253 && text.split('.').all(is_label)
    })
}

/// A namespace.
pub(crate) fn namespace(text: &str) -> Result<String, Invalid> {
    let rule = "a namespace: at most 63 of a-z, 0-9 and '-'";
    check(text, rule, |text| text.len() <= 63 && is_label(text))
}

/// A UsagePlan.
pub(crate) fn plan(text: &str) -> Result<String, Invalid> {
    let rule = "the name of a UsagePlan: at most 63 of a-z, 0-9 and '-'";
    check(text, rule, |text| text.len() <= 63 && is_label(text))
}

/// What a key may call: the name of a ModelDeployment, or `*`.
pub(crate) fn model(text: &str) -> Result<String, Invalid> {
    let rule = "the name of a ModelDeployment (a letter, then a-z, 0-9 and '-', at most 52) or '*'";
    check(text, rule, |text| {
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase());
        text == "*" || (begins && text.len() <= 52 && is_label(text))
    })
}

/// The name of a model in addresses.
pub(crate) fn served(text: &str) -> Result<String, Invalid> {
    let rule = "a model's name: at most 128 letters, digits, '.', '_' and '-'";
    check(text, rule, |text| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.len() <= 128
            && text.chars().all(inner)
            && end(text.chars().next())
            && end(text.chars().next_back())
    })
}

/// The id of a credential: the middle part of a token.
pub(crate) fn credential(text: &str) -> Result<String, Invalid> {
    let rule = "the id of a credential: the 12 letters and digits between aim_ and the next _";
    check(text, rule, |text| {
        text.len() == 12 && text.chars().all(|c| c.is_ascii_alphanumeric())
    })
}

/// A DNS label of any length.
fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(form: fn(&str) -> Result<String, Invalid>, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(form(text).as_deref(), Ok(*text));
        }
        for text in bad {
            assert!(form(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_have_the_forms_of_kubernetes() {
        let long = "a".repeat(64);
        check(
            object,
            &["ana", "0-a.b", &long],
            &["", "A", "a.", ".a", "-a", "a_b", "a b", "ä"],
        );
        check(
            namespace,
            &["team-a", "0"],
            &["", "team.a", "Team", "a-", &long],
        );
        check(plan, &["free"], &["", "free.1", &long]);
    }

    #[test]
    fn a_model_starts_with_a_letter_or_is_the_star() {
        let (most, more) = ("a".repeat(52), "a".repeat(53));
        check(
            model,
            &["*", "iris", "i-1", &most],
            &["", "1a", "**", "my_model", "a-", &more],
        );
        check(
            served,
            &["my_model", "A", "a.b-c_d"],
            &["", "_a", "a_", "a/b", "a b", "*", "ä"],
        );
    }

    #[test]
    fn a_credential_is_twelve_letters_and_digits() {
        check(
            credential,
            &["7GmYq2TbX0aZ"],
            &["", "7GmYq2TbX0a", "7GmYq2TbX0aZ1", "7GmYq2TbX0a_"],
        );
    }

    #[test]
    fn an_error_repeats_a_bounded_part_of_what_was_typed() {
        let error = object(&"A".repeat(10_000)).unwrap_err().to_string();
        assert!(
            error.starts_with("must be a name: ") && error.len() < 400,
            "{error}"
        );
    }
}
