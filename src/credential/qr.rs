//! QR codes (GB/T 18284, ISO/IEC 18004): drawing them and reading them.
//!
//! A [`Qr`] stays within the version its caller allows, so a code that would be too
//! fine for a cheap scanner is an error and not a surprise at the counter.
//! [`read`] only returns the texts it finds. Nothing here opens an address (T12).

use std::fmt;
use std::fmt::Write;
use std::io::Cursor;

use image::{DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader};
use qrcode::{Color, EcLevel, QrCode, Version};

/// How much of a code may be hidden or dirty.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    /// 7 %.
    L,
    /// 15 %.
    M,
    /// 25 %.
    Q,
    /// 30 %.
    H,
}

/// A QR code, ready to be drawn.
pub struct Qr {
    version: u8,
    /// Row by row; whether a module is dark.
    modules: Vec<Module>,
    width: usize,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Module {
    Dark,
    Light,
}

/// The text of the online code: `HTTPS://HOST/S/CODE`, all in upper case, so that it fits the
/// alphanumeric mode.
///
/// # Errors
/// [`QrError::Address`] when `public_url` is not `http(s)://host[:port]`, or the code is not letters and digits.
pub fn online_text(public_url: &str, code: &str) -> Result<String, QrError> {
    let url = public_url.trim_end_matches('/').to_ascii_uppercase();
    let host =
        url.strip_prefix("HTTPS://").or_else(|| url.strip_prefix("HTTP://")).ok_or(QrError::Address)?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    let shaped = !host.is_empty() && host.bytes().all(is_host) && !code.is_empty();
    if !shaped || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(QrError::Address);
    }
    Ok(format!("{url}/S/{}", code.to_ascii_uppercase()))
}

impl Qr {
    /// The smallest code that holds the text.
    ///
    /// # Errors
    /// [`QrError::TooLong`] when that would be beyond `version_max`.
    pub fn new(text: &str, level: Level, version_max: u8) -> Result<Self, QrError> {
        let level = match level {
            Level::L => EcLevel::L,
            Level::M => EcLevel::M,
            Level::Q => EcLevel::Q,
            Level::H => EcLevel::H,
        };
        let code = QrCode::with_error_correction_level(text, level).map_err(|_| QrError::TooLong)?;
        let version = match code.version() {
            Version::Normal(version) => u8::try_from(version).map_err(|_| QrError::TooLong)?,
            Version::Micro(_) => 1,
        };
        if version > version_max {
            return Err(QrError::TooLong);
        }
        let width = code.width();
        let module = |color| if color == Color::Dark { Module::Dark } else { Module::Light };
        Ok(Self { version, modules: code.into_colors().into_iter().map(module).collect(), width })
    }

    /// 1 to 40: how fine it is.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Modules on one side, without the quiet zone.
    pub fn width(&self) -> usize {
        self.width
    }

    /// An SVG of one path, one unit for a module; it grows to the size it is given.
    pub fn svg(&self) -> String {
        let side = self.side();
        let mut path = String::new();
        for y in 0..side {
            let mut x = 0;
            while x < side {
                let run = (x..side).take_while(|x| self.at(*x, y) == Module::Dark).count();
                if run > 0 {
                    write!(path, "M{x} {y}h{run}v1h-{run}z").expect("a String takes all");
                }
                x += run + 1;
            }
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
             <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path d=\"{path}\" fill=\"#000\"/></svg>"
        )
    }

    /// A grey PNG with so many pixels for each module.
    ///
    /// # Errors
    /// [`QrError::Scale`] for a scale of 0 or above [`SCALE_MAX`].
    pub fn png(&self, scale: u8) -> Result<Vec<u8>, QrError> {
        if scale == 0 || scale > SCALE_MAX {
            return Err(QrError::Scale);
        }
        let scale = usize::from(scale);
        let side = self.side() * scale;
        let mut pixels = Vec::with_capacity(side * side);
        for y in 0..side {
            pixels.extend((0..side).map(|x| match self.at(x / scale, y / scale) {
                Module::Dark => 0,
                Module::Light => 255_u8,
            }));
        }
        let side = u32::try_from(side).map_err(|_| QrError::Scale)?;
        let mut png = Vec::new();
        image::codecs::png::PngEncoder::new(&mut png)
            .write_image(&pixels, side, side, ExtendedColorType::L8)
            .map_err(|_| QrError::Scale)?;
        Ok(png)
    }

    /// Two modules in each character, light on dark as terminals are.
    pub fn terminal(&self) -> String {
        let side = self.side();
        let mut text = String::new();
        for y in (0..side).step_by(2) {
            for x in 0..side {
                text.push(match (self.at(x, y), self.at(x, y + 1)) {
                    (Module::Light, Module::Light) => '█',
                    (Module::Light, Module::Dark) => '▀',
                    (Module::Dark, Module::Light) => '▄',
                    (Module::Dark, Module::Dark) => ' ',
                });
            }
            text.push('\n');
        }
        text
    }

    /// Modules on one side, with the quiet zone.
    fn side(&self) -> usize {
        self.width + 2 * QUIET_ZONE
    }

    /// The module at a place that counts the quiet zone.
    fn at(&self, x: usize, y: usize) -> Module {
        let inside = |place: usize| place.checked_sub(QUIET_ZONE).filter(|place| *place < self.width);
        match (inside(x), inside(y)) {
            (Some(x), Some(y)) => self.modules[y * self.width + x],
            _ => Module::Light,
        }
    }
}

/// The texts of all QR codes in a PNG or JPEG.
///
/// # Errors
/// [`QrError`]; [`QrError::NoCode`] when the picture was read but shows none.
pub fn read(image_bytes: &[u8]) -> Result<Vec<String>, QrError> {
    if image_bytes.len() > IMAGE_BYTES_MAX {
        return Err(QrError::ImageTooLarge);
    }
    let grey = read_image(image_bytes, PIXELS_MAX)?;
    let (width, height) = (grey.width(), grey.height());
    let size = |side| usize::try_from(side).map_err(|_| QrError::ImageTooLarge);
    let pixels = grey.into_raw();
    let columns = size(width)?;
    let mut prepared =
        rqrr::PreparedImage::prepare_from_greyscale(columns, size(height)?, |x, y| pixels[y * columns + x]);
    let grids = prepared.detect_grids();
    let texts: Vec<String> =
        grids.iter().take(CODES_MAX).filter_map(|grid| grid.decode().ok()).map(|(_, text)| text).collect();
    if texts.is_empty() { Err(QrError::NoCode) } else { Ok(texts) }
}

/// Why a code cannot be drawn or read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum QrError {
    /// The address or code does not fit the online code.
    Address,
    /// The picture has too many bytes or pixels.
    ImageTooLarge,
    /// There is no QR code in the picture, or none that can be read.
    NoCode,
    /// Not a PNG or JPEG.
    NotAnImage,
    /// No such size of a module.
    Scale,
    /// The text needs a finer code than allowed here.
    TooLong,
}

impl QrError {
    /// Stable name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Address => "qr/address",
            Self::ImageTooLarge => "qr/image-too-large",
            Self::NoCode => "qr/no-code",
            Self::NotAnImage => "qr/not-an-image",
            Self::Scale => "qr/scale",
            Self::TooLong => "qr/too-long",
        }
    }

    /// What the reader can do about it, if anything.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Self::ImageTooLarge => {
                Some("send a smaller picture: at most 20 MiB, 25 million pixels and 64 MiB unpacked")
            }
            Self::NoCode => Some("take the picture again, straight and sharp, with the white border"),
            Self::NotAnImage => Some("send a PNG or a JPEG"),
            Self::TooLong => Some("show fewer fields"),
            _ => None,
        }
    }
}

impl fmt::Display for QrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address does not fit an online code",
            Self::ImageTooLarge => "the picture is too large",
            Self::NoCode => "no QR code can be read in the picture",
            Self::NotAnImage => "not a PNG or JPEG",
            Self::Scale => "a module has 1 to 64 pixels",
            Self::TooLong => "the text does not fit the QR code",
        })
    }
}

impl std::error::Error for QrError {}

/// Size first, pixels only when it is bearable.
fn read_image(bytes: &[u8], pixels_max: u64) -> Result<image::GrayImage, QrError> {
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png)) => format,
        _ => return Err(QrError::NotAnImage),
    };
    let decoder = ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(|_| QrError::NotAnImage)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > pixels_max {
        return Err(QrError::ImageTooLarge);
    }
    if decoder.total_bytes() > UNPACKED_BYTES_MAX {
        return Err(QrError::ImageTooLarge);
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(|_| QrError::NotAnImage)?;
    if !picture.color().has_alpha() {
        return Ok(picture.into_luma8());
    }
    // What shines through is paper: without this, a transparent background would be black.
    let mut picture = picture.into_luma_alpha8();
    for pixel in picture.pixels_mut() {
        let [grey, alpha] = pixel.0.map(u16::from);
        let over_white = (grey * alpha + 255 * (255 - alpha)) / 255;
        pixel.0 = [u8::try_from(over_white).unwrap_or(u8::MAX), u8::MAX];
    }
    Ok(DynamicImage::ImageLumaA8(picture).into_luma8())
}

/// The online code is at most this fine (DESIGN, "Online code").
pub const ONLINE_VERSION_MAX: u8 = 6;

/// The offline code is at most this fine (DESIGN, "Offline code").
pub const OFFLINE_VERSION_MAX: u8 = 20;

/// Pixels on one side of a module.
pub const SCALE_MAX: u8 = 64;

/// Bytes of a picture. Our own choice: a photo of a telephone has 3 to 10 MiB.
pub const IMAGE_BYTES_MAX: usize = 20 << 20;

/// Pixels of a picture (T23).
const PIXELS_MAX: u64 = 25_000_000;

/// Bytes of a picture when it is unpacked: two at a time must fit in small machines. Our own choice.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;

/// Codes read in one picture. Our own choice.
const CODES_MAX: usize = 16;

/// Light modules around a code (ISO/IEC 18004, 5.3.8).
const QUIET_ZONE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_online_code_stays_within_version_6_for_every_host() {
        let code = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        for host in
            ["https://kabao.example", "http://localhost:8080", &format!("https://{}.gov.cn/", "a".repeat(63))]
        {
            let text = online_text(host, code).unwrap();
            assert!(text.ends_with(&format!("/S/{code}")) && text == text.to_ascii_uppercase());
            let qr = Qr::new(&text, Level::M, ONLINE_VERSION_MAX).unwrap();
            // Alphanumeric mode: 5.5 bits for a character. Version 6-M holds 154 of them and 106 bytes.
            assert!(qr.version() <= if text.len() <= 61 { 3 } else { 6 }, "{text}: {}", qr.version());
        }
        for (url, code) in [
            ("ftp://x", "A"),
            ("https://", "A"),
            ("https://x/path", "A"),
            ("https://x", "A/B"),
            ("https://x", ""),
        ] {
            assert_eq!(online_text(url, code), Err(QrError::Address), "{url} {code}");
        }
    }

    #[test]
    fn a_code_that_is_too_fine_is_an_error() {
        let text = "A".repeat(966);
        assert_eq!(Qr::new(&text, Level::M, OFFLINE_VERSION_MAX).map(|qr| qr.version()), Ok(20));
        assert_eq!(Qr::new(&text, Level::M, 19).map(|_| ()), Err(QrError::TooLong));
        assert_eq!(Qr::new(&"A".repeat(5000), Level::L, 40).map(|_| ()), Err(QrError::TooLong));
    }

    #[test]
    fn what_is_drawn_is_read_again() {
        let text = "KB1:6BFOXN*TS0BI$ZD4N9:9S6RCVN5+O30K3/XIV0W23NTDE";
        let qr = Qr::new(text, Level::M, OFFLINE_VERSION_MAX).unwrap();
        assert_eq!(read(&qr.png(4).unwrap()), Ok(vec![text.to_string()]));
        assert_eq!(qr.png(0), Err(QrError::Scale));
        let lines: Vec<String> = qr.terminal().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), (qr.width() + 8).div_ceil(2));
        assert!(lines.iter().all(|line| line.chars().count() == qr.width() + 8));
        assert!(qr.svg().starts_with("<svg ") && qr.svg().ends_with("</svg>"));
    }

    #[test]
    fn a_transparent_background_is_paper() {
        let qr = Qr::new("HELLO", Level::M, 40).unwrap();
        let grey = read_image(&qr.png(4).unwrap(), PIXELS_MAX).unwrap();
        let mut see_through = image::GrayAlphaImage::new(grey.width(), grey.height());
        for (from, to) in grey.pixels().zip(see_through.pixels_mut()) {
            to.0 = [0, 255 - from.0[0]];
        }
        let mut png = Vec::new();
        DynamicImage::ImageLumaA8(see_through)
            .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
            .unwrap();
        assert_eq!(read(&png), Ok(vec!["HELLO".to_string()]));
    }

    #[test]
    fn pictures_that_cost_too_much_or_are_none_are_refused() {
        let png = Qr::new("HELLO", Level::M, 40).unwrap().png(4).unwrap();
        assert_eq!(read_image(&png, 100).map(|_| ()), Err(QrError::ImageTooLarge));
        assert_eq!(read(&vec![0; IMAGE_BYTES_MAX + 1]), Err(QrError::ImageTooLarge));
        for bytes in [&b""[..], b"GIF89a", b"hello", &png[..40]] {
            assert_eq!(read(bytes), Err(QrError::NotAnImage));
        }
        // Few enough pixels, but of eight bytes each; all alike, so the file is small.
        let mut heavy = Vec::new();
        DynamicImage::new_rgba16(4_000, 2_200)
            .write_to(&mut Cursor::new(&mut heavy), ImageFormat::Png)
            .unwrap();
        assert_eq!(read(&heavy), Err(QrError::ImageTooLarge));
        let mut blank = Vec::new();
        DynamicImage::new_luma8(64, 64).write_to(&mut Cursor::new(&mut blank), ImageFormat::Png).unwrap();
        assert_eq!(read(&blank), Err(QrError::NoCode));
    }
}
