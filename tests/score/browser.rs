//! A real browser without a window.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// Names of the same browser on different systems.
const NAMES: [&str; 4] = ["chromium", "chromium-headless-shell", "chromium-browser", "google-chrome"];

/// A browser that was found on this machine.
pub struct Browser {
    program: &'static str,
    profile: tempfile::TempDir,
}

impl Browser {
    /// The browser, where there is one. Says loudly that a test skips, and fails instead where
    /// `LEOMA_REQUIRE_ASSETS` is set.
    pub fn find() -> Option<Self> {
        let answers = |program: &&str| {
            let run =
                Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            run.is_ok_and(|status| status.success())
        };
        let Some(program) = NAMES.into_iter().find(|name| answers(name)) else {
            let skipped = "SKIPPED: no Chromium on this machine (Debian: apt-get install chromium), \
                           so the report was not looked at";
            assert!(std::env::var_os("LEOMA_REQUIRE_ASSETS").is_none(), "{skipped}");
            eprintln!("{skipped}");
            return None;
        };
        Some(Self { program, profile: tempfile::tempdir().expect("folder") })
    }

    fn run(&self, arguments: &[&str], page: &Path) -> Output {
        let output = Command::new(self.program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"])
            .args(["--enable-logging=stderr", "--v=0", "--allow-file-access-from-files"])
            // Nothing can be reached but files.
            .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=10000"])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .args(arguments)
            .arg(url::Url::from_file_path(page).expect("absolute path").as_str())
            .output()
            .expect("the browser starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The page's tree after its scripts ran, and what it wrote to the console.
    pub fn visit(&self, page: &Path) -> (String, Vec<String>) {
        let output = self.run(&["--dump-dom"], page);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let console = said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect();
        (String::from_utf8_lossy(&output.stdout).into_owned(), console)
    }

    /// A picture of the page.
    pub fn picture(&self, page: &Path, to: &Path, (width, height): (u32, u32)) -> PathBuf {
        let size = format!("--window-size={width},{height}");
        self.run(&[&size, &format!("--screenshot={}", to.display())], page);
        to.to_owned()
    }
}
