return { other = require "other", new = true }
