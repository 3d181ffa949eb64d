//! Where clips and commitments lie: a folder or a bucket, behind `object_store`.

use std::{path::Path, sync::Arc};

use object_store::{ObjectStore, aws::AmazonS3Builder, local::LocalFileSystem, prefix::PrefixStore};

/// Why a location was refused.
#[derive(Debug, thiserror::Error)]
#[error("location `{location}`: {problem}")]
pub struct LocationError {
    /// As given, cut to 300 characters.
    location: String,
    /// What is wrong and what would be right.
    problem: String,
}

/// Opens a folder that exists (path or `file://` address) or a bucket (`s3://bucket/prefix`). A bucket's keys,
/// endpoint and region are read from the environment as S3 tools do: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
/// `AWS_ENDPOINT`, `AWS_REGION` (`auto` for R2), `AWS_ALLOW_HTTP` for a server on this machine.
///
/// # Errors
/// When the folder does not exist, or the address cannot be used.
pub fn open(location: &str) -> Result<Arc<dyn ObjectStore>, LocationError> {
    let refuse = |problem: String| LocationError { location: location.chars().take(300).collect(), problem };
    let folder = match url::Url::parse(location) {
        Ok(address) if address.scheme() == "file" => address
            .to_file_path()
            .map_err(|()| refuse("is not a local file address: write file:///path".into()))?,
        Ok(address) if address.scheme() == "s3" => return bucket(&address, &refuse),
        Ok(address) if location.contains("://") => {
            let scheme = address.scheme();
            return Err(refuse(format!(
                "scheme `{scheme}` is not read: give a folder, a file:// or an s3:// address"
            )));
        }
        _ => Path::new(location).to_owned(),
    };
    if !folder.is_dir() {
        return Err(refuse("is not a folder".into()));
    }
    let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| refuse(error.to_string()))?;
    Ok(Arc::new(store))
}

fn bucket(
    address: &url::Url,
    refuse: &impl Fn(String) -> LocationError,
) -> Result<Arc<dyn ObjectStore>, LocationError> {
    let name = address.host_str().unwrap_or_default();
    let plain = address.username().is_empty() && address.password().is_none() && address.query().is_none();
    if name.is_empty() || !plain {
        return Err(refuse("write s3://bucket/prefix; keys come from the environment".into()));
    }
    let store = AmazonS3Builder::from_env().with_bucket_name(name).build();
    let store = store.map_err(|error| refuse(error.to_string()))?;
    let prefix = address.path().trim_matches('/');
    match prefix.is_empty() {
        true => Ok(Arc::new(store)),
        false => Ok(Arc::new(PrefixStore::new(store, prefix))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_folder_or_a_bucket() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().to_str().expect("plain path");
        for right in [path, &format!("file://{path}"), "s3://bucket", "s3://bucket/some/prefix/"] {
            assert!(open(right).is_ok(), "{right}");
        }
        for wrong in [
            "/no/such/folder",
            "https://example.org/x",
            "file:///no/such",
            "s3://",
            "s3://me:secret@bucket/x",
            "s3://bucket/x?region=auto",
        ] {
            let refused = open(wrong).err().unwrap_or_else(|| panic!("{wrong} was opened"));
            assert!(refused.to_string().contains(wrong), "{refused}");
        }
    }
}
