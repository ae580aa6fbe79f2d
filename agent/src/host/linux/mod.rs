//! The real machine: directories, namespaces, processes.
