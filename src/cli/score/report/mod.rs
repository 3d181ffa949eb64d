//! The page of `leoma score --report`: one HTML file without scripts and without requests.

pub(in crate::cli) mod change;
mod chart;
mod opponents;
pub(in crate::cli) mod page;
mod picture;
mod readings;
mod terms;

use std::{io::Write as _, path::PathBuf};

use anyhow::anyhow;
use tempfile::NamedTempFile;

pub(super) use page::ReportPage;

use crate::cli::exit::{Exit, Failure};

/// The file that the page will be: written beside its place and moved there whole.
pub(super) struct ReportFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl ReportFile {
    /// Opens a temporary neighbour of `path`.
    ///
    /// # Errors
    /// When its folder does not exist or cannot be written.
    pub(super) fn create(path: PathBuf) -> Result<Self, Failure> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = tempfile::Builder::new()
            .prefix(".leoma-report-")
            .tempfile_in(folder.unwrap_or(std::path::Path::new(".")))
            .map_err(|cause| Failure::new(Exit::Unreadable, anyhow!("{}: {cause}", path.display())))?;
        Ok(Self { path, file })
    }

    /// Writes the page and gives it its name.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn finish(mut self, html: &str) -> Result<(), Failure> {
        let failed = |cause: std::io::Error| {
            Failure::new(Exit::Internal, anyhow!("writing {}: {cause}", self.path.display()))
        };
        self.file.write_all(html.as_bytes()).map_err(failed)?;
        #[cfg(unix)]
        {
            // A temporary file is private; a report is made to be shown.
            use std::os::unix::fs::PermissionsExt as _;
            let readable = std::fs::Permissions::from_mode(0o644);
            self.file.as_file().set_permissions(readable).map_err(failed)?;
        }
        self.file.persist(&self.path).map_err(|refused| failed(refused.error))?;
        Ok(())
    }
}
