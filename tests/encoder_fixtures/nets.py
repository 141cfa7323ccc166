"""The pSp family: converted by the public function, then codes, rollouts and pictures compared."""
