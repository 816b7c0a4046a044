//! Which format of compiled configuration a server is given.

use client::internal::Loaded;

/// What a program reads or writes: the oldest and the newest format.
pub type Formats = (u32, u32);

/// No format suits all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a replica (release {release}) reads configuration of format {} to {}, this operator writes {} to {}",
    reads.0, reads.1, writes.0, writes.1
)]
pub struct NoCommonFormat {
    /// Of the replica that cannot be served.
    pub release: String,
    pub reads: Formats,
    pub writes: Formats,
}

/// The newest format that the operator writes (`writes`) and every ready replica reads. During an upgrade the old replicas go on
/// being served while the new ones start; once the last old one is gone the next pass writes the new format. With no
/// replica ready it is the newest, because the replica that starts next runs the release that belongs to this operator.
///
/// # Errors
/// [`NoCommonFormat`], where a replica is older or newer than by one release.
pub fn format_to_write<'a>(
    writes: Formats,
    ready: impl IntoIterator<Item = &'a Loaded>,
) -> Result<u32, NoCommonFormat> {
    let mut format = writes.1;
    let mut least = writes.0;
    for replica in ready {
        format = format.min(replica.formats.1);
        least = least.max(replica.formats.0);
        if format < least {
            return Err(NoCommonFormat { release: replica.version.clone(), reads: replica.formats, writes });
        }
    }
    Ok(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(oldest: u32, newest: u32) -> Loaded {
        Loaded { version: format!("0.{newest}.0"), formats: (oldest, newest), ..Loaded::default() }
    }

    #[test]
    fn a_replica_that_reads_none_of_our_formats_is_named() {
        let error = format_to_write((2, 3), &[reads(2, 3), reads(4, 5)]).unwrap_err();
        assert_eq!(error, NoCommonFormat { release: "0.5.0".into(), reads: (4, 5), writes: (2, 3) });
        assert_eq!(
            error.to_string(),
            "a replica (release 0.5.0) reads configuration of format 4 to 5, this operator writes 2 to 3"
        );
        assert!(format_to_write((2, 3), &[reads(1, 1)]).is_err());
    }

    #[test]
    fn replicas_that_have_no_format_in_common_are_refused_though_each_alone_would_do() {
        assert!(format_to_write((1, 4), &[reads(1, 2), reads(3, 4)]).is_err());
    }

    #[test]
    fn the_newest_format_is_written_that_every_replica_reads() {
        assert_eq!(format_to_write((2, 3), &[reads(2, 3), reads(2, 3)]), Ok(3));
        assert_eq!(format_to_write((2, 3), &[reads(2, 3), reads(1, 2)]), Ok(2), "one replica is still old");
        assert_eq!(format_to_write((2, 3), &[reads(3, 4)]), Ok(3), "the operator was rolled back");
        assert_eq!(format_to_write((1, 1), &[reads(1, 1)]), Ok(1));
    }

    #[test]
    fn without_a_ready_replica_the_newest_format_is_written() {
        assert_eq!(format_to_write((1, 2), []), Ok(2));
    }
}
