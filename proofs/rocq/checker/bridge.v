(******************************************************************************)
(*      The patterns that are run are those of the theory                     *)
(*                                                                            *)
(* What a padded position copies, and how many outputs there are, in the      *)
(* words of padding.v and correlation.v.                                      *)
(*                                                                            *)
(*   mode_of m == the padding mode of the theory                              *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect.
From Coq Require Import PeanoNat.
From AlgebraicCNN Require Import padding correlation.
From AlgebraicCNN.checker Require Import patterns.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Definition mode_of (m : mode) : padding_mode :=
  match m with
  | Zeros => padding.Zeros
  | Reflect => padding.Reflect
  | Replicate => padding.Replicate
  | Circular => padding.Circular
  end.

Lemma lebE a b : Nat.leb a b = (a <= b).
Proof. by apply/idP/idP => [/Nat.leb_le /leP|/leP /Nat.leb_le]. Qed.
Lemma ltbE a b : Nat.ltb a b = (a < b).
Proof. exact: lebE. Qed.
Lemma minE a b : Nat.min a b = minn a b.
Proof. by case: (leqP a b) => [/leP /Nat.min_l|/ltnW /leP /Nat.min_r]. Qed.
Lemma divE a b : 0 < b -> Nat.div a b = a %/ b.
Proof.
move=> b0; symmetry; apply: (Nat.div_unique a b _ (a %% b)); first by apply/ltP; rewrite ltn_mod.
by rewrite {1}(divn_eq a b) mulnC.
Qed.
Lemma modE a b : 0 < b -> Nat.modulo a b = a %% b.
Proof.
move=> b0; symmetry; apply: (Nat.mod_unique a b (a %/ b)); first by apply/ltP; rewrite ltn_mod.
by rewrite {1}(divn_eq a b) mulnC.
Qed.
Lemma insideE n i : inside n i = omap (@nat_of_ord n) (insub i).
Proof. by rewrite /inside ltbE; case: insubP => [j -> /= ->|/negbTE ->]. Qed.

Theorem source_src m n before j : source m n before j = omap (@nat_of_ord n) (src n before (mode_of m) j).
Proof.
case: n => [|n].
  have no (i : option 'I_0) : omap (@nat_of_ord 0) i = None by case: i => [[]|].
  rewrite no /source; case: m => //=; first by case: (Nat.leb _ _).
case: m; rewrite /source /src /mode_of ?lebE ?ltbE -?insideE.
- by case: ifP => // _; rewrite insideE.
- congr inside; do 2 case: ifP => // _.
  by rewrite !minusE multE subn1 mul2n.
- by rewrite minE !minusE subn1.
- by rewrite modE // plusE multE minusE subn1.
Qed.

Theorem size_out_size n a : 0 < stride a -> 0 < extent a ->
  size n a = out_size (before a + n + after a) (extent a) (stride a) (dilation a).
Proof.
move=> s0 e0; rewrite /size /out_size divE // !plusE !minusE !multE.
by rewrite subn1 !addn1.
Qed.

Print Assumptions source_src.
Print Assumptions size_out_size.
