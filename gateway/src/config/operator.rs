//! Who reads what gateways see, and what they are shown.
//!
//! Pure. Called by `config`.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Checker, is_label};

/// How names of ServiceAccounts begin where they are users.
const PREFIX: &str = "system:serviceaccount:";

/// The operator, which is told what this gateway sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The user that it is.
    pub user: Arc<str>,
    /// The token that this gateway shows it.
    pub token_file: PathBuf,
}

impl Checker<'_> {
    /// User and file are both given, or neither; and only where it is known which pod this is.
    pub(super) fn operator(
        &mut self,
        parts: [Option<String>; 2],
        is_pod: bool,
    ) -> Option<Operator> {
        match parts {
            [Some(user), Some(token_file)] if is_pod => {
                if !is_account(&user) {
                    let rule = format!("must be {PREFIX}NAMESPACE:NAME, is {user:?}");
                    self.0.add("--signals-reader", &rule);
                }
                Some(Operator {
                    user: user.into(),
                    token_file: token_file.into(),
                })
            }
            [None, None] => None,
            [user, _] => {
                let rule = "must be given together with --operator-token-file and --pod-uid, or \
                            none of them";
                let rule = format!("{rule}; is {user:?}");
                self.0.add("--signals-reader", &rule);
                None
            }
        }
    }
}

fn is_account(user: &str) -> bool {
    let names = user.strip_prefix(PREFIX);
    let names = names.and_then(|names| names.split_once(':'));
    let is_name = |name: &str| name.len() <= 253 && name.split('.').all(is_label);
    names.is_some_and(|(namespace, name)| is_label(namespace) && is_name(name))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::args::parse;
    use crate::config::Config;

    const POD: &str = "--pod-uid=7f3a-1 --pod-namespace=a --peer-token-file=/t/token";
    const USER: &str = "system:serviceaccount:aimass-system:aimass";

    fn operator(line: &str) -> Result<Option<Operator>, String> {
        let line = format!("g {line}");
        let line = parse(line.split_whitespace().map(OsString::from)).unwrap();
        let config = Config::try_from(line).map_err(|problems| problems.describe("g"))?;
        Ok(config.operator)
    }

    #[test]
    fn the_operator_is_a_user_who_is_shown_a_token() {
        let line = format!("{POD} --signals-reader={USER} --operator-token-file=/o/token");
        let expect = Operator {
            user: USER.into(),
            token_file: "/o/token".into(),
        };
        assert_eq!(operator(&line), Ok(Some(expect)));
        assert_eq!(operator(POD), Ok(None));
    }

    #[test]
    fn half_of_it_is_no_operator() {
        for line in [
            format!("{POD} --signals-reader={USER}"),
            format!("{POD} --operator-token-file=/o/token"),
            format!("--signals-reader={USER} --operator-token-file=/o/token"),
        ] {
            let text = operator(&line).unwrap_err();
            assert!(
                text.contains("--signals-reader (AIMASS_SIGNALS_READER)"),
                "{text}"
            );
            assert!(text.contains("must be given together"), "{text}");
        }
    }

    #[test]
    fn a_reader_is_a_service_account() {
        for user in [
            "ana",
            "system:serviceaccount:a",
            "system:serviceaccount:A:b",
            "system:node:x",
        ] {
            let line = format!("{POD} --signals-reader={user} --operator-token-file=t");
            let text = operator(&line).unwrap_err();
            assert!(text.contains("must be system:serviceaccount:"), "{text}");
        }
    }
}
