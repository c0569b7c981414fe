return { other = require "other" }
