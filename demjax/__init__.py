"""demjax: democratized and federated learning of thousands of clients, vectorized in JAX."""
