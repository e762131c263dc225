//! The face (照面) of a certificate as a picture: SVG, and PNG drawn from it.
//!
//! A face shows a view, so it is masked when the view is. One layout serves all
//! types; the template chooses paper and columns, the type its colour, title and
//! fields in printed order. A state other than active is written across it. It is a
//! picture for screens, not a document: nothing is to be believed because of how it
//! looks.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::VaultError;
use super::view::CertificateView;
use crate::catalog::certificate_type::Template;
use crate::domain::lifecycle::{State, StateView};

impl CertificateView {
    /// The face as SVG.
    pub fn face_svg(&self) -> String {
        let paper = Paper::of(self.template);
        let lines = self.lines(&paper);
        let height = paper.height_min.max(TOP + lines.iter().map(Line::height).sum::<u32>() + BOTTOM);
        let mut svg = String::new();
        let (width, accent) = (paper.width, &self.accent);
        let _ = write!(
            svg,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-family="{FONTS}"><title>{} {}</title><rect width="{width}" height="{height}" fill="#fffdf8"/><rect width="{width}" height="12" fill="{accent}"/><rect x="10" y="22" width="{}" height="{}" fill="none" stroke="{accent}" stroke-width="1.5"/>"##,
            escape(&self.type_name.zh),
            escape(&self.type_name.en),
            width - 20,
            height - 32,
        );
        let middle = width / 2;
        let _ = write!(
            svg,
            r#"<text x="{middle}" y="72" text-anchor="middle" font-size="{}" font-weight="bold" fill="{accent}">{}</text><text x="{middle}" y="98" text-anchor="middle" font-size="15" fill="{GREY}">{}</text>"#,
            title_size(&self.type_name.zh, width),
            escape(&self.type_name.zh),
            escape(&self.type_name.en),
        );
        let mut y = TOP;
        for line in &lines {
            line.write(&mut svg, y);
            y += line.height();
        }
        self.write_foot(&mut svg, &paper, height);
        self.write_state(&mut svg, &paper, height);
        svg.push_str("</svg>");
        svg
    }

    /// The face as PNG, so many pixels wide; less where a long face would have too many.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`] when the machine has no font to draw with.
    pub fn face_png(&self, width: u32) -> Result<Vec<u8>, VaultError> {
        let width = width.clamp(WIDTH_MIN, WIDTH_MAX);
        let fonts = fonts();
        if fonts.is_empty() {
            tracing::error!("no font is installed: faces cannot be drawn as PNG");
            return Err(VaultError::Unreadable);
        }
        let options = Options { fontdb: fonts, ..Options::default() };
        let tree = Tree::from_str(&self.face_svg(), &options).map_err(|_| VaultError::Unreadable)?;
        let (across, down) = (f64::from(tree.size().width()), f64::from(tree.size().height()));
        let scale = bearable(f64::from(width) / across, across * down);
        let (width, height) = (pixels(across * scale), pixels(down * scale));
        let mut pixmap = Pixmap::new(width, height).ok_or(VaultError::Unreadable)?;
        let scale = single(scale);
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
        pixmap.encode_png().map_err(|_| VaultError::Unreadable)
    }

    /// Every field as lines that fit the paper.
    fn lines(&self, paper: &Paper) -> Vec<Line> {
        let mut pairs = vec![("持证主体".to_string(), self.holder_names.join("、"))];
        pairs.push(("证照编号".into(), self.number.clone()));
        for field in self.fields.iter().filter(|field| field.key != "photo") {
            pairs.push((field.label.zh.clone(), field.text.clone()));
        }
        if let Some(from) = self.valid_from {
            let until = self.valid_until.map_or("长期".to_string(), |until| until.to_string());
            pairs.push(("有效期限".into(), format!("{from} 至 {until}")));
        }
        let mut lines = Vec::new();
        for (label, text) in pairs {
            for (place, part) in wrap(&text, paper.columns).into_iter().take(LINES_MAX).enumerate() {
                let label = if place == 0 { label.clone() } else { String::new() };
                lines.push(Line { label, text: part });
            }
        }
        lines
    }

    fn write_foot(&self, svg: &mut String, paper: &Paper, height: u32) {
        let date = self.issue_date.map(|date| date.chinese_text()).unwrap_or_default();
        let _ = write!(
            svg,
            r#"<text x="{x}" y="{}" text-anchor="end" font-size="19" fill="{INK}">{}</text><text x="{x}" y="{}" text-anchor="end" font-size="17" fill="{INK}">{}</text><text x="34" y="{}" font-size="11" fill="{GREY}">电子证照标识 {}</text>"#,
            height - 84,
            escape(&self.issuer_name.zh),
            height - 58,
            escape(&date),
            height - 26,
            escape(&self.identifier.to_string()),
            x = paper.width - 40,
        );
    }

    /// Anything but active is written across the face, so that no picture of it looks good.
    fn write_state(&self, svg: &mut String, paper: &Paper, height: u32) {
        if self.state == StateView::In(State::Active) {
            return;
        }
        let (x, y) = (paper.width / 2, height / 2);
        let _ = write!(
            svg,
            r##"<text x="{x}" y="{y}" text-anchor="middle" font-size="110" font-weight="bold" fill="#c00000" fill-opacity="0.35" transform="rotate(-24 {x} {y})">{}</text>"##,
            escape(self.state.zh()),
        );
    }
}

/// The paper of a template.
struct Paper {
    width: u32,
    height_min: u32,
    /// Width of a line of text in half-width columns.
    columns: usize,
}

impl Paper {
    fn of(template: Template) -> Self {
        match template {
            Template::Card => Self { width: 856, height_min: 540, columns: 58 },
            Template::Booklet => Self { width: 700, height_min: 960, columns: 44 },
            Template::Certificate => Self { width: 1188, height_min: 840, columns: 88 },
            Template::Proof | Template::Report => Self { width: 840, height_min: 1188, columns: 56 },
        }
    }
}

/// One line of the face.
struct Line {
    label: String,
    text: String,
}

impl Line {
    fn height(&self) -> u32 {
        if self.label.is_empty() { 26 } else { 34 }
    }

    fn write(&self, svg: &mut String, y: u32) {
        let y = y + self.height() - 10;
        if !self.label.is_empty() {
            let size = if width_of(&self.label) > 20 { 13 } else { 17 };
            let label = escape(&self.label);
            let _ = write!(svg, r#"<text x="40" y="{y}" font-size="{size}" fill="{GREY}">{label}</text>"#);
        }
        let text = escape(&self.text);
        let _ = write!(svg, r#"<text x="240" y="{y}" font-size="19" fill="{INK}">{text}</text>"#);
    }
}

/// Breaks a text into lines; Chinese breaks anywhere.
fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut width = 0;
    for character in text.chars().take(TEXT_MAX) {
        let wide = columns_of(character);
        if width + wide > columns || character == '；' && width > columns / 2 {
            lines.push(String::new());
            width = 0;
        }
        if let Some(line) = lines.last_mut() {
            line.push(character);
        }
        width += wide;
    }
    lines
}

fn columns_of(character: char) -> usize {
    if character.is_ascii() { 1 } else { 2 }
}

fn width_of(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

fn title_size(title: &str, width: u32) -> u32 {
    let columns = u32::try_from(width_of(title)).unwrap_or(u32::MAX).max(1);
    ((width - 120) * 2 / columns).clamp(16, 40)
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other if other.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The machine's fonts, read once.
fn fonts() -> Arc<fontdb::Database> {
    static FONTS_READ: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    Arc::clone(FONTS_READ.get_or_init(|| {
        let mut database = fontdb::Database::new();
        database.load_system_fonts();
        let chinese = CHINESE_FONTS.iter().find(|wanted| {
            database.faces().any(|face| face.families.iter().any(|(name, _)| name == *wanted))
        });
        if let Some(name) = chinese {
            database.set_sans_serif_family(*name);
        }
        Arc::new(database)
    }))
}

/// The scale, or the greatest at which so large a face has no more than [`PIXELS_MAX`].
fn bearable(scale: f64, area: f64) -> f64 {
    scale.min((PIXELS_MAX / area).sqrt())
}

#[expect(
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before"
)]
fn pixels(length: f64) -> u32 {
    length.round().clamp(1.0, 20_000.0) as u32
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "a scale near one")]
fn single(scale: f64) -> f32 {
    scale as f32
}

/// Fonts with Chinese, the better first.
const CHINESE_FONTS: &[&str] =
    &["Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "Droid Sans Fallback"];

const FONTS: &str =
    "Noto Sans CJK SC, Noto Sans SC, PingFang SC, Microsoft YaHei, WenQuanYi Micro Hei, sans-serif";
const INK: &str = "#1a1a1a";
const GREY: &str = "#666666";

/// Where the fields begin.
const TOP: u32 = 124;

/// Room for issuer, date and identifier.
const BOTTOM: u32 = 130;

/// Lines that one field may take on a face; the rest is in the detail view.
const LINES_MAX: usize = 12;

/// Characters of one field that are looked at for a face.
const TEXT_MAX: usize = 2000;

/// Narrowest and widest PNG in pixels.
const WIDTH_MIN: u32 = 120;
const WIDTH_MAX: u32 = 2400;

/// Pixels of a PNG, four bytes each while it is drawn.
const PIXELS_MAX: f64 = 8_000_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_field_holds_cannot_become_markup() {
        assert_eq!(escape("<a href=\"x\">&\u{1b}"), "&lt;a href=&quot;x&quot;&gt;&amp; ");
    }

    #[test]
    fn a_long_face_is_drawn_smaller_and_never_beyond_its_pixels() {
        assert_eq!(
            bearable(2.0, 800.0 * 600.0).to_bits(),
            2.0_f64.to_bits(),
            "an ordinary face is as wide as asked"
        );
        let (across, down) = (800.0, 20_000.0);
        let scale = bearable(3.0, across * down);
        let area = u64::from(pixels(across * scale)) * u64::from(pixels(down * scale));
        assert!((7_900_000..=8_100_000).contains(&area), "{area}");
    }

    #[test]
    fn long_texts_break_and_lose_nothing() {
        let text = "渝".repeat(100);
        let lines = wrap(&text, 58);
        assert!(lines.iter().all(|line| width_of(line) <= 58));
        assert_eq!(lines.concat(), text);
    }
}
