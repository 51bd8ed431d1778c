//! Changes fields of one object, as a decision about what it is then says.

use std::fmt::Debug;

use kube::api::{Api, Patch, PatchParams};
use kube::{Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::client::{Trouble, answered};
use crate::outcome::Failure;

/// The field manager of everything that is written.
pub(crate) const MANAGER: &str = "aimass-cli";
/// How often a change is decided anew because somebody else changed the object meanwhile.
const ATTEMPTS: usize = 3;

/// What is to become of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change<T> {
    /// These fields of `spec` get new values.
    Write(Value, T),
    /// It is as it should be.
    Nothing(T),
}

/// Changes the object `name`, called `full` in texts, as `decide` says of what it is then; what `decide` had to say.
///
/// A merge patch of the changed fields, bound to the version that was read: an apply would have to repeat all fields
/// that we own, and would so become an owner of what others wrote. A list is replaced as a whole, which the version
/// makes safe. `lost` is what to do where nobody knows whether the change was made.
pub(crate) async fn edit<K, T>(
    objects: &Api<K>,
    (name, full): (&str, &str),
    lost: &str,
    decide: impl Fn(&K) -> Result<Change<T>, Failure>,
) -> Result<T, Failure>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let failed = |trouble: Trouble| Failure::new(format!("failed to change {full}: {trouble}"));
    for _ in 0..ATTEMPTS {
        let object = answered(objects.get(name)).await.map_err(failed)?;
        let (spec, said) = match decide(&object)? {
            Change::Write(spec, said) => (spec, said),
            Change::Nothing(said) => return Ok(said),
        };
        match answered(patch(objects, name, &object, spec)).await {
            Ok(_) => return Ok(said),
            Err(Trouble::Conflict(_)) => {}
            Err(silent @ Trouble::Silent(_)) => {
                let mut failure = failed(silent);
                failure.text.push_str(". ");
                failure.text.push_str(lost);
                return Err(failure);
            }
            Err(trouble) => return Err(failed(trouble)),
        }
    }
    let why = format!("it was changed by others {ATTEMPTS} times meanwhile: try again");
    Err(failed(Trouble::Conflict(why)))
}

async fn patch<K>(objects: &Api<K>, name: &str, read: &K, spec: Value) -> Result<K, kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let version = read.resource_version();
    let patch = json!({"metadata": {"resourceVersion": version}, "spec": spec});
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    objects.patch(name, &params, &Patch::Merge(&patch)).await
}
