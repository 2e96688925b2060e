//! Compressed files, known by their first bytes, whatever their name.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

use super::Unusable;

const BUFFER: usize = 1 << 16;

/// What files of other kinds begin with, and what to do with them.
const FOREIGN: [(&[u8], &str); 6] = [
    (
        b"BZh",
        "it is packed with bzip2: unpack it, or pack it with gzip or zstd",
    ),
    (
        b"\xfd7zXZ\0",
        "it is packed with xz: unpack it, or pack it with gzip or zstd",
    ),
    (
        b"PK\x03\x04",
        "it is a ZIP archive or a spreadsheet: save it as CSV or JSONL",
    ),
    (b"PAR1", "it is a Parquet file: save it as CSV or JSONL"),
    (b"\xff\xfe", "its text is UTF-16: save it as UTF-8"),
    (b"\xfe\xff", "its text is UTF-16: save it as UTF-8"),
];

type Source = BufReader<io::Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>>;

/// The content of a file: unpacked where it is gzip or zstd, as it is otherwise.
///
/// # Errors
///
/// As reading does, and [`Unusable`] inside of it for a file of a kind that cannot be read.
pub(super) fn unpack(mut source: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut head = Vec::new();
    (&mut source).take(6).read_to_end(&mut head)?;
    if let Some((_, why)) = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(Unusable::new(*why).into());
    }
    let is_gzip = head.starts_with(b"\x1f\x8b");
    let is_zstd = head.starts_with(b"\x28\xb5\x2f\xfd") || is_skippable(&head);
    let source = Cursor::new(head).chain(source);
    Ok(if is_gzip {
        Box::new(MultiGzDecoder::new(BufReader::with_capacity(
            BUFFER, source,
        )))
    } else if is_zstd {
        Box::new(Zstd {
            source: BufReader::with_capacity(BUFFER, source),
            decoder: FrameDecoder::new(),
            is_inside: false,
        })
    } else {
        Box::new(source)
    })
}

/// Whether this begins a frame that holds no content, as some packers write in front.
fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// All frames of a zstd file, one after the other: the decoder itself ends with the first one.
struct Zstd {
    source: Source,
    decoder: FrameDecoder,
    /// A frame has begun of which not all is given.
    is_inside: bool,
}

impl Zstd {
    /// Begins the next frame; false where there is none.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let mut content = (&mut self.source).take(length);
                    if io::copy(&mut content, &mut io::sink())? < length {
                        return Err(broken("it ends too early"));
                    }
                }
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(false)
    }

    fn check(&self) -> io::Result<()> {
        let expected = self.decoder.get_checksum_from_data();
        if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
            return Err(broken("its checksum is wrong"));
        }
        Ok(())
    }
}

impl Read for Zstd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.is_inside && !self.begin()? {
                return Ok(0);
            }
            self.is_inside = true;
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(broken)?;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.check()?;
            self.is_inside = false;
        }
    }
}

fn broken(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("zstd: {why}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn gzip(text: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text)?;
        encoder.finish()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }

    fn unpacked(packed: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        unpack(Box::new(Cursor::new(packed)))?.read_to_end(&mut text)?;
        Ok(text)
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_in_one_part_or_in_several(
            text in proptest::collection::vec(any::<u8>(), 0..3000),
            cut in 0..3000_usize,
        ) {
            let (one, other) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(&unpacked(gzip(&text)?)?, &text);
            prop_assert_eq!(&unpacked([gzip(one)?, gzip(other)?].concat())?, &text);
            prop_assert_eq!(&unpacked(zstd(&text))?, &text);
            prop_assert_eq!(&unpacked([zstd(one), zstd(other)].concat())?, &text);
            // A frame without content, as `pzstd` writes it.
            let skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd".to_vec();
            prop_assert_eq!(&unpacked([skippable, zstd(&text)].concat())?, &text);
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_an_error() -> io::Result<()> {
        let text = b"a line of text\n".repeat(100);
        for packed in [gzip(&text)?, zstd(&text)] {
            let cut = packed[..packed.len() - 3].to_vec();
            assert!(unpacked(cut).is_err());
            let mut damaged = packed;
            if let Some(last) = damaged.last_mut() {
                *last ^= 1;
            }
            assert!(unpacked(damaged).is_err());
        }
        Ok(())
    }

    #[test]
    fn other_kinds_of_files_are_named() {
        for (head, name) in [
            (&b"PAR1\x15\x04\x15"[..], "Parquet"),
            (b"PK\x03\x04\x14\x00\x06", "spreadsheet"),
            (b"\xff\xfea\0", "UTF-16"),
        ] {
            let error = unpacked(head.to_vec()).expect_err("of another kind");
            assert!(error.to_string().contains(name), "{error}");
        }
        assert_eq!(unpacked(b"{}".to_vec()).ok(), Some(b"{}".to_vec()));
        assert_eq!(unpacked(Vec::new()).ok(), Some(Vec::new()));
    }
}
