//! The commands at work on small checkouts of their own.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod models;
#[cfg(test)]
mod teeth;
