//! The program as its users run it: each test starts it as a child process
//! and reads what it prints.

mod errors;
mod figures;
mod input;
mod matrix;
mod run;
