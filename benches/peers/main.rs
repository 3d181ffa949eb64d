//! Our side of `scripts/bench-peers.sh`, which sets it beside OpenCV, scikit-image and PyTorch in `docs/benchmarks.md`.
//!
//! - `peers prepare FOLDER KEY [CORPUS]`: cuts a clip out of the corpus, or out of a drawn one, for every side to work on;
//! - `peers serve FOLDER`: does on request what is named on a line of stdin, with the numbers behind the name, and
//!   answers with time and results as JSON, so that another process can take turns with it;
//! - `peers round FOLDER CLIPS`: decodes and judges so many clips of one task, and says what that took;
//! - `peers decoder-memory FOLDER`: the largest resident memory of a decode worker, in bytes;
//! - anything else (`cargo bench`): every work once.
//!
//! The twins use rayon's global pool and the CPU scorer as many threads: `RAYON_NUM_THREADS`.

mod clock;
mod device;
mod inputs;
mod lanes;
mod round;
mod twins;

use std::{
    error::Error,
    io::{self, BufRead as _, Write as _},
    path::{Path, PathBuf},
    rc::Rc,
};

use inputs::Inputs;

/// Why something could not be measured.
pub type Failure = Box<dyn Error>;

/// Does a piece of work once; gives the numbers that other implementations of it can be compared with.
pub type Run = Box<dyn FnMut(&[usize]) -> Result<Vec<f64>, Failure>>;

/// A piece of work that can be repeated. What it needs beforehand is made when it runs for the first time.
pub struct Work {
    /// Name in requests.
    pub name: &'static str,
    /// The work; its numbers are frames of the clip.
    pub run: Run,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["prepare", folder, key, corpus @ ..] => {
            let about = inputs::prepare(Path::new(folder), key, corpus.first().map(Path::new))?;
            println!("{about}");
            Ok(())
        }
        ["serve", folder] => serve(Path::new(folder)),
        ["round", folder, clips] => {
            println!("{}", round::measure(Path::new(folder), clips.parse()?)?);
            Ok(())
        }
        ["decoder-memory", folder] => {
            println!("{}", inputs::decoder_memory(Path::new(folder))?);
            Ok(())
        }
        _ => once(),
    }
}

fn works(folder: &Path) -> Result<Vec<Work>, Failure> {
    let inputs = Rc::new(Inputs::load(folder)?);
    let mut all = lanes::works(&inputs);
    all.extend(twins::works(&inputs));
    all.extend(device::works(&inputs));
    Ok(all)
}

/// Answers requests until stdin ends.
fn serve(folder: &Path) -> Result<(), Failure> {
    let mut works = works(folder)?;
    let names: Vec<_> = works.iter().map(|work| work.name).collect();
    println!("{}", serde_json::json!({ "works": names, "threads": rayon::current_num_threads() }));
    for line in io::stdin().lock().lines() {
        let answer = respond(&mut works, &line?);
        println!("{}", answer.unwrap_or_else(|failure| serde_json::json!({ "error": failure.to_string() })));
        io::stdout().flush()?;
    }
    Ok(())
}

fn respond(works: &mut [Work], request: &str) -> Result<serde_json::Value, Failure> {
    let mut words = request.split_whitespace();
    let name = words.next().unwrap_or_default();
    let frames = words.map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    if name == "adapter" {
        let (name, software) = device::adapter()?;
        return Ok(serde_json::json!({ "name": name, "software": software }));
    }
    if name == "memory" {
        return Ok(serde_json::json!({ "peak_bytes": clock::own_peak() }));
    }
    let work = works.iter_mut().find(|work| work.name == name).ok_or_else(|| format!("no work `{name}`"))?;
    let (result, time) = clock::timed(|| (work.run)(&frames));
    let values = result?;
    Ok(serde_json::json!({ "wall_ms": time.wall_ms, "processor_ms": time.processor_ms, "values": values }))
}

/// Every work once, on a clip of the corpus that `scripts/fetch-assets.sh` fills.
fn once() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let corpus = cache().map(|cache| cache.join("corpus"));
    println!("{}", inputs::prepare(folder.path(), inputs::USUAL_CLIP, corpus.as_deref())?);
    println!("one run each, milliseconds; scripts/bench-peers.sh measures well, beside peers");
    for mut work in works(folder.path())? {
        // What the first run prepares is not the work.
        let warm = (work.run)(&[1, 2, 3, 4, 5, 6]);
        let (result, time) = clock::timed(|| (work.run)(&[7, 8, 9, 10, 11, 12]));
        match warm.and(result) {
            Ok(_) => {
                println!("{:<18} wall {:>9.1}  processor {:>9.1}", work.name, time.wall_ms, time.processor_ms)
            }
            Err(failure) => println!("{:<18} not measured: {failure}", work.name),
        }
    }
    Ok(())
}

/// Our cache folder.
fn cache() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let user = || named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
    named("LEOMA_CACHE").or_else(|| Some(user()?.join("leoma")))
}
