return { m = require "m" }
