//! Which split and which class a path belongs to, told from all the paths that came with it.

use std::collections::BTreeSet;

use crate::error::{Error, Result};

/// Splits in the order in which they keep a picture that several of them have: nothing is trained on that is tested.
pub(super) const SPLITS: [&str; 3] = ["test", "val", "train"];

/// Where a path belongs.
pub(super) struct Place<'a> {
    /// Index into [`SPLITS`].
    pub(super) split: usize,
    pub(super) class: &'a str,
    /// Below the class folder.
    pub(super) rest: &'a str,
}

/// How the paths are laid out.
pub(super) struct Layout {
    /// The folder that everything lies in: empty, or ending in `/`.
    root: String,
    /// Whether `train` and its like lie in it, or the classes do.
    pub(super) splits: bool,
}

impl Layout {
    /// The layout of `paths`: splits with classes in them or classes alone, in however many folders that hold nothing else.
    ///
    /// # Errors
    /// [`Error::Dataset`] without class folders, or with `test` or `val` but no `train`.
    pub(super) fn of<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> Result<Self> {
        let mut root = String::new();
        loop {
            let below = paths.clone().filter_map(|path| path.strip_prefix(&root));
            let folders: BTreeSet<&str> = below.filter_map(|path| path.split_once('/')).map(|(name, _)| name).collect();
            let has = |name| folders.contains(name);
            if has("train") {
                return Ok(Self { root, splits: true });
            }
            if has("test") || has("val") {
                let reason = "there is a `test` or `val` folder but no `train` folder".into();
                return Err(Error::Dataset { reason });
            }
            // One folder with folders in it is the one that was dropped.
            let only = folders.first().map(|name| format!("{root}{name}/"));
            match only {
                None => {
                    let reason = "there are no class folders; put the films of each class into a folder of its own";
                    return Err(Error::Dataset { reason: reason.into() });
                }
                Some(inner) if folders.len() == 1 && paths.clone().any(|path| is_nested(path, &inner)) => root = inner,
                Some(_) => return Ok(Self { root, splits: false }),
            }
        }
    }

    /// Where `path` belongs; `None` for what lies in no class folder.
    pub(super) fn place<'a>(&self, path: &'a str) -> Option<Place<'a>> {
        let mut below = path.strip_prefix(&self.root)?;
        let mut split = SPLITS.len() - 1;
        if self.splits {
            let (name, rest) = below.split_once('/')?;
            split = SPLITS.iter().position(|split| *split == name)?;
            below = rest;
        }
        let (class, rest) = below.split_once('/')?;
        Some(Place { split, class, rest })
    }
}

fn is_nested(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|below| below.contains('/'))
}
