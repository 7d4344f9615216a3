//! Makes the README's picture: a clear of a real server on a terminal, as an animated SVG. `make recording`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "whoever makes a picture wants to see what went wrong"
)]

#[path = "mod.rs"]
mod support;

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use support::server::{Server, Version};
use support::terminal::{Piece, Terminal};

const COLUMNS: u16 = 118;
/// The time between two looks at the screen.
const STEP: Duration = Duration::from_millis(100);
/// How long the last picture stays, in seconds.
const REST: f64 = 4.0;
/// The width of a character, in units of the picture.
const WIDE: f64 = 8.4;
const HIGH: f64 = 20.0;

fn main() {
    let servers: Vec<Server> = (0..3).map(|_| Server::start(Version::Sid, &[])).collect();
    for (server, count) in servers.iter().zip([300_000, 200_000, 120_000]) {
        server.store((0..count).map(|n| format!("shop:product:{n}")));
        server.store((0..100_000).map(|n| format!("blog:{n}")));
    }
    let addresses: Vec<&str> = servers.iter().map(Server::address).collect();
    let arguments = [&["--prefix", "shop:", "--rate", "60000"], &addresses[..]].concat();
    let begun = Instant::now();
    let terminal = Terminal::run(COLUMNS, &[], &arguments);
    let prompt = format!("$ mcflush {}", arguments.join(" "));
    let mut frames: Vec<(f64, Vec<Vec<Piece>>)> = vec![(0.0, Vec::new())];
    let mut note = |frame: Vec<Vec<Piece>>| {
        if frames.last().is_none_or(|(_, last)| *last != frame) {
            frames.push((begun.elapsed().as_secs_f64(), frame));
        }
    };
    while let Some(frame) = terminal.pieces() {
        note(frame);
        std::thread::sleep(STEP);
    }
    note(terminal.last_pieces());
    let (status, said, _) = terminal.wait();
    assert_eq!(status, Some(0), "{said}");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recording.svg");
    std::fs::write(&file, svg(&prompt, &frames)).unwrap();
    println!("{}: {} pictures", file.display(), frames.len());
}

fn svg(prompt: &str, frames: &[(f64, Vec<Vec<Piece>>)]) -> String {
    let is_empty = |row: &Vec<Piece>| row.iter().all(|piece| piece.text.trim().is_empty());
    let rows = frames.iter().filter_map(|(_, rows)| rows.iter().rposition(|row| !is_empty(row))).max().unwrap_or(0) + 2;
    let (width, height) = (f64::from(COLUMNS) * WIDE + 32.0, (rows + 1) as f64 * HIGH + 16.0);
    let whole = frames.last().unwrap().0 + REST;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"ui-monospace, Menlo, \
         Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"14\">\n<style>\n"
    );
    for (number, (start, _)) in frames.iter().enumerate() {
        let end = frames.get(number + 1).map_or(whole, |(next, _)| *next);
        let (start, end) = (100.0 * start / whole, 100.0 * end / whole);
        let _ = writeln!(
            svg,
            "@keyframes f{number} {{ 0% {{ visibility: hidden }} {start:.3}% {{ visibility: visible }} {end:.3}% {{ visibility: {} }} }}\n\
             .f{number} {{ visibility: hidden; animation: f{number} {whole:.2}s step-end infinite }}",
            if number + 1 == frames.len() { "visible" } else { "hidden" }
        );
    }
    let _ = writeln!(svg, "</style>\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16181c\"/>");
    text(&mut svg, 0, &[Piece { text: prompt.into(), color: None, bold: true, dim: false }]);
    for (number, (_, rows)) in frames.iter().enumerate() {
        let _ = writeln!(svg, "<g class=\"f{number}\">");
        for (row, pieces) in rows.iter().enumerate().filter(|(_, pieces)| !is_empty(pieces)) {
            text(&mut svg, row + 1, pieces);
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}

fn text(svg: &mut String, row: usize, pieces: &[Piece]) {
    let _ = write!(
        svg,
        "<text x=\"16\" y=\"{:.0}\" fill=\"#e9e7e1\" xml:space=\"preserve\">",
        (row + 1) as f64 * HIGH + 8.0
    );
    let mut left = pieces.iter().rev().skip_while(|piece| piece.text.trim().is_empty()).count();
    for piece in pieces {
        if left == 0 {
            break;
        }
        left -= 1;
        let text = piece.text.replace('&', "&amp;").replace('<', "&lt;");
        let mut look = String::new();
        if let Some(color) = piece.color {
            let _ = write!(look, " fill=\"{}\"", PALETTE[usize::from(color) % PALETTE.len()]);
        }
        if piece.bold {
            look.push_str(" font-weight=\"bold\"");
        }
        if piece.dim {
            look.push_str(" opacity=\"0.6\"");
        }
        let _ = write!(svg, "<tspan{look}>{text}</tspan>");
    }
    svg.push_str("</text>\n");
}

const PALETTE: [&str; 16] = [
    "#3b4048", "#e06c75", "#63c197", "#d9b26a", "#61a5e8", "#c678dd", "#56b6c2", "#c8ccd4", "#6a717c", "#e06c75",
    "#63c197", "#d9b26a", "#61a5e8", "#c678dd", "#56b6c2", "#ffffff",
];
