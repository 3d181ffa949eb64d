//! Where clips and commitments lie: a folder or a bucket.

use std::{path::Path, sync::Arc};

use object_store::ObjectStore;
use url::Url;

use crate::storage::{Place, PlaceOptions, S3Options, place::AccessKey, place::PlaceError};

/// Why a location was refused.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// The folder is not there.
    #[error("location `{0}` is not a folder")]
    Missing(String),
    /// An environment variable of the bucket's service cannot be used.
    #[error("{name}: {problem}")]
    Environment {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The address or the service's settings.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Opens a folder that exists (path or `file://` address) or a bucket (`s3://bucket/prefix`). A bucket's keys,
/// endpoint and region are read from the environment under the names of S3 tools: `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_ENDPOINT_URL`, `AWS_REGION` (`auto` without).
///
/// # Errors
/// When the folder does not exist, or the address cannot be used.
pub fn open(location: &str) -> Result<Arc<dyn ObjectStore>, LocationError> {
    open_with(location, |name| std::env::var(name).ok())
}

fn open_with(
    location: &str,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Arc<dyn ObjectStore>, LocationError> {
    let address = Url::parse(location).ok().filter(|_| location.contains("://"));
    let folder = match &address {
        None => Some(Path::new(location).to_owned()),
        Some(address) if address.scheme() == "file" => address.to_file_path().ok(),
        Some(_) => None,
    };
    // A place makes its folder; what is read must be there.
    if folder.is_some_and(|folder| !folder.is_dir()) {
        return Err(LocationError::Missing(location.chars().take(300).collect()));
    }
    let endpoint = variable("AWS_ENDPOINT_URL").map(|text| Url::parse(&text)).transpose();
    let endpoint = endpoint.map_err(|error| LocationError::Environment {
        name: "AWS_ENDPOINT_URL",
        problem: error.to_string(),
    })?;
    let key = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => Some(AccessKey { id, secret }),
        (Some(_), None) => {
            let problem = "is not set, AWS_ACCESS_KEY_ID is".to_owned();
            return Err(LocationError::Environment { name: "AWS_SECRET_ACCESS_KEY", problem });
        }
        _ => None,
    };
    let standard = S3Options::default();
    let s3 = S3Options {
        endpoint,
        region: variable("AWS_REGION").unwrap_or_else(|| standard.region.clone()),
        key,
        ..standard
    };
    Ok(Place::open(&PlaceOptions { location: location.to_owned(), s3 })?.store())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_folder_or_a_bucket() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().to_str().expect("plain path");
        for right in [path, &format!("file://{path}"), "s3://bucket", "s3://bucket/some/prefix/"] {
            assert!(open_with(right, |_| None).is_ok(), "{right}");
        }
        for wrong in [
            "/no/such/folder",
            "https://example.org/x",
            "file:///no/such",
            "s3://",
            "s3://me:secret@bucket/x",
            "s3://bucket/x?region=auto",
        ] {
            let refused = open_with(wrong, |_| None).err().unwrap_or_else(|| panic!("{wrong} was opened"));
            assert!(!refused.to_string().contains("secret"), "{refused}");
        }
        assert!(!Path::new("/no/such/folder").exists(), "nothing is made");
    }

    #[test]
    fn half_a_key_and_a_bad_endpoint_are_refused_by_name() {
        let only = |wanted: &'static str, value: &'static str| {
            open_with("s3://bucket", move |name| (name == wanted).then(|| value.to_owned()))
        };
        let refused = only("AWS_ACCESS_KEY_ID", "me").expect_err("half a key");
        assert!(refused.to_string().contains("AWS_SECRET_ACCESS_KEY"), "{refused}");
        let refused = only("AWS_ENDPOINT_URL", "not an address").expect_err("no address");
        assert!(refused.to_string().contains("AWS_ENDPOINT_URL"), "{refused}");
    }
}
