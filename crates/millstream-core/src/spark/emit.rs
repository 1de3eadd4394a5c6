//! From the expression tree to Spark SQL: node by node, with the types that the tree decided.
