(******************************************************************************)
(*      The functions that are run, as OCaml: certified.ml                    *)
(*                                                                            *)
(* Natural numbers (sizes and positions, never multiplied beyond the size of  *)
(* a file) become machine integers; integers become those of Zarith.          *)
(******************************************************************************)
Require Import BinNums BinPos BinInt Extraction ExtrOcamlBasic ExtrOcamlNatInt.
From AlgebraicCNN.checker Require Import evaluator rational modular patterns rounding grids magnitudes.
Extraction Language OCaml.
Extract Inductive positive => "Zz.t"
  [ "(fun p -> Zz.succ (Zz.shift_left p 1))" "(fun p -> Zz.shift_left p 1)" "Zz.one" ]
  "(fun odd even one p -> if Zz.equal p Zz.one then one () else
      let half = Zz.shift_right p 1 in if Zz.testbit p 0 then odd half else even half)".
Extract Inductive Z => "Zz.t" [ "Zz.zero" "(fun p -> p)" "Zz.neg" ]
  "(fun zero pos neg z -> let s = Zz.sign z in if s = 0 then zero () else if s > 0 then pos z else neg (Zz.neg z))".
Extract Constant BinPos.Pos.mul => "Zz.mul".
Extract Constant BinPos.Pos.eqb => "Zz.equal".
Extract Constant BinInt.Z.add => "Zz.add".
Extract Constant BinInt.Z.sub => "Zz.sub".
Extract Constant BinInt.Z.mul => "Zz.mul".
Extract Constant BinInt.Z.opp => "Zz.neg".
Extract Constant BinInt.Z.abs => "Zz.abs".
Extract Constant BinInt.Z.min => "Zz.min".
Extract Constant BinInt.Z.max => "Zz.max".
Extract Constant BinInt.Z.eqb => "Zz.equal".
Extract Constant BinInt.Z.leb => "Zz.leq".
Extract Constant BinInt.Z.ltb => "Zz.lt".
Extract Constant BinInt.Z.modulo => "(fun a b -> if Zz.sign b = 0 then a else Zz.sub a (Zz.mul b (Zz.fdiv a b)))".
Extract Constant BinInt.Z.of_nat => "Zz.of_int".
Extract Constant BinInt.Z.pow => "(fun a n -> if Zz.sign n < 0 then Zz.zero else Zz.pow a (Zz.to_int n))".
Extraction "certified.ml" network whole rounds near_enough all_near prime_check unit_residue good summarise gap output cut
  entries serves span outputs.
