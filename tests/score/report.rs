//! The report, looked at in a real browser.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use super::{
    browser::Browser,
    material::{HOSTILE, Material, PROMPT, text},
};

/// Loads the report in frames of two widths and writes what it finds into itself. The report has no
/// script of its own and forbids any.
const PROBE: &str = r#"<!doctype html><meta charset="utf-8"><body>
<iframe src="REPORT" width="1280" height="900"></iframe><iframe src="REPORT" width="380" height="900"></iframe>
<pre id="probe"></pre><script>
addEventListener('load', () => {
  const look = (frame) => {
    const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
    const all = (what) => [...page.querySelectorAll(what)];
    const box = (element) => element.getBoundingClientRect();
    const scrolls = (element) => element.closest('.wide') !== null;
    return {
      title: page.title,
      images: all('img').map((image) => [image.complete, image.naturalWidth, image.naturalHeight, box(image).width]),
      charts: all('svg').map((drawing) => [box(drawing).width, box(drawing).height]),
      lines: all('polyline').filter((line) => line.getTotalLength() > 0).length,
      cells: all('rect').length,
      wide: [root.scrollWidth, root.clientWidth],
      sticking_out: all('body *').filter((e) => !scrolls(e) && box(e).right > root.clientWidth + 1).map((e) => e.tagName + '.' + e.className),
      hidden_text: all('dd,td,p,h2').filter((e) => !scrolls(e) && e.scrollWidth > e.clientWidth + 1).map((e) => e.textContent),
      names: all('h2 bdi').map((name) => [name.textContent, name.children.length]),
      prompt: all('dd bdi').map((text) => text.textContent),
      foreign: all('script,iframe,object,embed,link:not([rel=icon]),form').length,
      requests: view.performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => !name.startsWith('data:')),
      ground: view.getComputedStyle(page.body).backgroundColor,
    };
  };
  document.getElementById('probe').textContent = JSON.stringify([...document.querySelectorAll('iframe')].map(look));
  console.error('probe speaks');
});
</script>"#;

fn make_report(name: &str) -> String {
    let made = Material::get();
    let clips = ["honest.mp4", "freeze.mp4", "blurred.mp4", HOSTILE];
    let output = made.score(&clips, &["--json", "--report", name]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    std::fs::read_to_string(made.path(name)).expect("the report")
}

/// The browser's dump of a `pre` with JSON in it.
fn probed(dom: &str) -> Value {
    let json = dom.split("<pre id=\"probe\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let json = json.unwrap_or_else(|| panic!("no probe in {dom}"));
    let plain = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&plain).unwrap_or_else(|cause| panic!("{cause}: {plain}"))
}

#[test]
fn the_report_is_one_file_that_asks_for_nothing_and_is_the_same_every_time() {
    let page = make_report("alone.html");
    assert_eq!(page, make_report("again.html"), "the same clips give the same page");
    for foreign in ["http://", "https://", "<script", "src=\"/", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"));
    let left: Vec<_> = std::fs::read_dir(Material::get().folder())
        .expect("folder")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(".leoma-report"))
        .collect();
    assert!(left.is_empty(), "no half-written file stays: {left:?}");
}

#[test]
fn a_browser_shows_the_report_whole_at_any_width() {
    let Some(browser) = Browser::find() else { return };
    let made = Material::get();
    make_report("report.html");
    let probe = made.path("probe.html");
    std::fs::write(&probe, PROBE.replace("REPORT", "report.html")).expect("written");
    let (dom, console) = browser.visit(&probe);
    assert_eq!(console.len(), 1, "only the probe itself speaks on the console: {console:#?}");
    assert!(console[0].contains("probe speaks"), "{console:#?}");
    let seen = probed(&dom);
    assert_eq!(seen.as_array().map(Vec::len), Some(2), "both widths");
    for view in seen.as_array().expect("two views") {
        assert_eq!(view["title"], "Leoma score report");
        let images = view["images"].as_array().expect("images");
        // Three first frames, six frames of clip and real each, two maps; the damaged file has the given frame only.
        assert_eq!(images.len(), 3 * (3 + 6 + 6 + 2) + 1);
        for image in images {
            let size = |index: usize| image[index].as_f64().expect("number");
            assert!(image[0] == true && size(1) > 0.0 && size(2) > 0.0 && size(3) > 40.0, "{image}");
        }
        let charts = view["charts"].as_array().expect("charts");
        assert_eq!(charts.len(), 3 * (9 + 9), "a chart and a strip for each of nine readings");
        assert!(charts.iter().all(|chart| chart[0].as_f64() > Some(100.0) && chart[1].as_f64() > Some(10.0)));
        assert_eq!(view["lines"], 3 * 9 * 2, "the clip's and the reference's line in every chart");
        assert_eq!(view["cells"], 3 * (5 * 32 + 4 * 33));
        assert!(view["wide"][0].as_u64() <= view["wide"][1].as_u64(), "overflows: {}", view["wide"]);
        for empty in ["sticking_out", "hidden_text", "requests"] {
            assert_eq!(view[empty], Value::Array(vec![]), "{empty}");
        }
        assert_eq!(view["foreign"], 0);
        assert_eq!(view["prompt"], serde_json::json!([PROMPT]));
        let names =
            serde_json::json!([["honest.mp4", 0], ["freeze.mp4", 0], ["blurred.mp4", 0], [HOSTILE, 0]]);
        assert_eq!(view["names"], names);
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("score-report.png");
    let picture = browser.picture(&made.path("report.html"), &kept, (1280, 1600));
    let file = std::fs::File::open(picture).expect("a picture");
    let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().expect("PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("bounded")];
    let shown = reader.next_frame(&mut pixels).expect("pixels");
    assert_eq!((shown.width, shown.height), (1280, 1600));
    let colours: BTreeSet<_> = pixels.chunks_exact(shown.line_size / 1280).collect();
    assert!(colours.len() > 1_000, "{} colours: frames are to be seen", colours.len());
}
