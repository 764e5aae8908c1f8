//! The files of the cache folder, and the room that they take.
//!
//! | file | what it knows |
//! |---|---|
//! | [`folder`] | the cache folder: its lock, its tag, what is set aside or about to be removed |
//! | [`generation`] | one generation: its database, its files of bodies, its state |
//! | [`database`] | the database of a generation, which can be opened anew while others read |
//! | [`records`] | the records of a database; the only file that names sled |
//! | [`touched`] | which pages of a database are in memory |
//! | [`segment`] | small bodies, one behind the other in one file |
//! | [`body`], [`filling`] | large bodies: how they are read, and how they stream in |
//! | [`journal`] | the file of the journal |
//! | [`removing`] | the thread that removes files and folders |
//! | [`space`] | the disk limit, and who has taken how much of it |

pub mod body;
pub mod database;
pub mod filling;
pub mod folder;
pub mod generation;
pub mod journal;
pub mod records;
pub mod removing;
pub mod segment;
pub mod space;
pub mod touched;
